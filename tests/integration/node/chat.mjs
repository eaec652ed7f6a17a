// The official OpenAI SDK for Node against the base URL of argv: prints what it got as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const request = { model: "mock-model", messages: [{ role: "user", content: "Say hi" }], max_tokens: 8 };

const reply = await client.chat.completions.create(request);
const result = { complete: reply.choices[0].message.content, usage: reply.usage, stream: "" };

for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
  result.stream += chunk.choices[0]?.delta?.content ?? "";
}

try {
  await client.chat.completions.create({ ...request, model: "nope" });
} catch (e) {
  result.error = { status: e.status, code: e.code };
}
console.log(JSON.stringify(result));
