// @deepgram/sdk 3: prints what is final; the server closes after the last of it.

import { createRequire } from 'node:module';
import { pieces, read, snippet } from './speech.mjs';

const { createClient, LiveTranscriptionEvents } = createRequire(import.meta.url)('deepgram-sdk-3');
const RATE = 16_000;

const client = eval(`${snippet('deepgram-3')}; client`); // `createClient` is the snippet's
const connection = client.listen.live({ model: 'nova-2', encoding: 'linear16', sample_rate: RATE });
connection.on(LiveTranscriptionEvents.Transcript, (message) => {
  if (message.is_final) console.log(message.channel.alternatives[0].transcript);
});
connection.on(LiveTranscriptionEvents.Error, (error) => { console.error(error); process.exit(1); });
const closed = new Promise((resolve) => { connection.on(LiveTranscriptionEvents.Close, resolve); });
await new Promise((resolve) => { connection.on(LiveTranscriptionEvents.Open, resolve); });
for await (const piece of pieces(read(RATE), RATE)) {
  connection.send(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
}
connection.requestClose();
await closed;
