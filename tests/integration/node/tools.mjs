// The official OpenAI SDK for Node, streaming a reply that tells thoughts and tool calls: argv is the base URL, the model and the text that the mock engine is to say.
import OpenAI from "openai";

const [url, model, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } }];
const request = { model, messages: [{ role: "user", content: "hi" }], tools, mock_say: [...text] };

const stream = client.chat.completions.stream(request);
let thought = "";
for await (const chunk of stream) {
  thought += chunk.choices[0]?.delta?.reasoning_content ?? "";
}
const choice = (await stream.finalChatCompletion()).choices[0];
const calls = choice.message.tool_calls.map((c) => [c.function.name, c.function.arguments]);
console.log(JSON.stringify({ calls, thought, finish: choice.finish_reason }));
