// openai-node over TLS: a recording as a whole, then as a stream of events; both must say the same.

import { createReadStream } from 'node:fs';
import OpenAI from 'openai';
import { path, port } from './speech.mjs';

const client = new OpenAI({ baseURL: `https://127.0.0.1:${port}/v1`, apiKey: 'any', maxRetries: 0 });
const wanted = () => ({ model: 'whisper-1', file: createReadStream(path) });
const whole = await client.audio.transcriptions.create(wanted());
let streamed = '';
for await (const event of await client.audio.transcriptions.create({ ...wanted(), stream: true })) {
  if (event.type === 'transcript.text.delta') streamed += event.delta;
}
if (streamed !== whole.text) throw new Error(`${streamed} is not ${whole.text}`);
console.log(whole.text);
