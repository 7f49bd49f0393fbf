// openai-node's realtime interface over TLS: prints one line an item.

import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { Attention, pieces, port, read } from './speech.mjs';

const RATE = 24_000;
const COMPLETED = 'conversation.item.input_audio_transcription.completed';

const client = new OpenAI({ baseURL: `https://127.0.0.1:${port}/v1`, apiKey: 'any' });
const live = new OpenAIRealtimeWS({ intent: 'transcription' }, client);
const attention = new Attention();
live.on('error', (error) => { console.error(error); process.exit(1); });
live.on(COMPLETED, (event) => { console.log(event.transcript); attention.news(); });
await new Promise((resolve) => { live.on('session.created', resolve); });
const input = { format: { type: 'audio/pcm', rate: RATE }, turn_detection: { type: 'server_vad' } };
live.send({ type: 'session.update', session: { type: 'transcription', audio: { input } } });
for await (const piece of pieces(read(RATE), RATE)) {
  live.send({ type: 'input_audio_buffer.append', audio: piece.toString('base64') });
}
await attention.quiet();
live.close();
