// @deepgram/sdk 5: prints what is final; the server closes after the last of it.

import { DeepgramClient } from '@deepgram/sdk';
import { pieces, port, read } from './speech.mjs';

const RATE = 16_000;
const [http, ws] = [`http://127.0.0.1:${port}`, `ws://127.0.0.1:${port}`];

const client = new DeepgramClient({
  apiKey: 'any',
  environment: { base: http, production: ws, agent: ws, agentRest: http },
});
const connection = await client.listen.v1.connect({
  model: 'nova-3', encoding: 'linear16', sample_rate: RATE, interim_results: 'true', reconnectAttempts: 0,
});
connection.on('message', (message) => {
  if (message.type === 'Results' && message.is_final) console.log(message.channel.alternatives[0].transcript);
});
connection.on('error', (error) => { console.error(error); process.exit(1); });
const closed = new Promise((resolve) => { connection.on('close', resolve); });
connection.connect();
await connection.waitForOpen();
for await (const piece of pieces(read(RATE), RATE)) connection.sendMedia(piece);
connection.sendCloseStream({ type: 'CloseStream' });
await closed;
process.exit(0);
