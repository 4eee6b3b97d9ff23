// Asks the simulated provider at the URL given, through both official JavaScript clients, and prints as JSON
// what each got: a whole answer, a streamed one, and the error for a model that does not exist.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const url = process.argv[2];
const messages = [{ role: "user", content: "Why does jitter help?" }];

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return { name: error.constructor.name, status: error.status };
  }
  return null;
}

async function askOpenAI() {
  const client = new OpenAI({ apiKey: "k", baseURL: `${url}/v1`, maxRetries: 0 });
  const whole = await client.chat.completions.create({ model: "gpt-5.5", messages });
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model: "gpt-5.5", messages, stream: true })) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
  }
  const error = await failure(client.chat.completions.create({ model: "none", messages }));
  return { whole: whole.choices[0].message.content, streamed, error };
}

async function askAnthropic() {
  const client = new Anthropic({ apiKey: "k", baseURL: url, maxRetries: 0 });
  const body = { model: "claude-sonnet-5", messages, max_tokens: 400 };
  const whole = await client.messages.create(body);
  const message = await client.messages.stream(body).finalMessage();
  const error = await failure(client.messages.create({ ...body, model: "none" }));
  return { whole: whole.content[0].text, streamed: message.content[0].text, error };
}

console.log(JSON.stringify({ openai: await askOpenAI(), anthropic: await askAnthropic() }));
