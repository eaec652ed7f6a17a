"""The parsers of model output: over HTTP (/parse/...), at the command line (smg parse), and on chat replies (--parse-http-replies), there with the official SDKs.

What the mock engine answers, and in which pieces, the request says (mock_say, docs/mock-engine.md).
"""
import json
import random
import subprocess

import httpx
import openai
import pytest

from conftest import ROOT, SLOWNESS, SMG, Engine, Gateway, ScriptedEngine, wait_until

TOOLS = [
    {"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}}
    for n in ("get_weather", "search")
]
QWEN = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "São \\"Paulo\\"\\n", "days": 3}}\n</tool_call>'
KIMI = '<|open|>tools<|sep|><|open|>call tool="search" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Rome<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>'
# model (its name chooses the parsers), the raw text, and what a client is to see: thought, content, calls
REPLIES = [
    ("qwen3-8b", "Just a text, ünïcödé 🦜 and < and <think without more.", "", "Just a text, ünïcödé 🦜 and < and <think without more.", []),
    ("qwen3-8b", f"<think>I wonder.\n</think>\n\n{QWEN}", "I wonder.\n", "", [("get_weather", '{"city":"São \\"Paulo\\"\\n","days":3}')]),
    ("qwen3-8b", f"Let me look.\n{QWEN}\n<tool_call>\n" '{"name": "search", "arguments": {}}\n</tool_call>', "", "Let me look.\n", [("get_weather", '{"city":"São \\"Paulo\\"\\n","days":3}'), ("search", "{}")]),
    ("qwen3-8b", "<think>only a thought", "only a thought", "", []),
    ("qwen3-8b", "<tool_call>\nno call at all", "", "<tool_call>\nno call at all", []),
    ("qwen3-8b", "\n\n", "", "\n\n", []),
    ("deepseek-r1", "thought</think>answer</think>", "thought", "answer</think>", []),
    ("qwen3-coder", "<tool_call>\n<function=search>\n<parameter=city>\nRome\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>", "", "", [("search", '{"city":"Rome","days":2}')]),
    ("moonshotai/kimi-k3", f"step<|close|>think<|sep|><|open|>response<|sep|>ans<|close|>response<|sep|>{KIMI}<|close|>message<|sep|>", "step", "ans", [("search", '{"city":"Rome"}')]),
    ("mistral-7b", '[TOOL_CALLS] [{"name": "search", "arguments": {"city": "Ro]me"}}]', "", "", [("search", '{"city":"Ro]me"}')]),
]


@pytest.fixture(scope="module")
def running():
    """One engine behind three gateways: parsers by the model's name; none at all; parsers named by flags."""
    engine = Engine("--model", "qwen3-8b")
    gateways = [
        Gateway("--parse-http-replies"),
        Gateway("--tool-call-parser", "none", "--reasoning-parser", "none", "--parse-http-replies"),
        Gateway("--tool-call-parser", "Hermes", "--reasoning-parser", "deepseek-r1", "--parse-http-replies"),
    ]
    for g in gateways:
        models = [{"id": m} for m in ("qwen3-8b", "deepseek-r1", "deepseek-v3.1", "qwen3-coder", "moonshotai/kimi-k3", "mistral-7b", "unheard-of")]
        assert g.client.post("/workers", json={"url": engine.url, "models": models}).status_code == 202
        g.ready(1)
    yield engine, *gateways
    for p in (*gateways, engine):
        assert p.stop() == 0, p.output()[-4000:]


def say(model, pieces, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, "mock_say": pieces, **more}


def post(gateway, body):
    return gateway.client.post("/v1/chat/completions", json=body)


def events(reply):
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.endswith("\n\n")
    return [e.removeprefix("data: ") for e in reply.text.removesuffix("\n\n").split("\n\n")]


def gather(reply):
    """The message of each choice that a client puts together from a stream, and its finish reason."""
    choices = {}
    chunks = events(reply)
    assert chunks.pop() == "[DONE]"
    for chunk in map(json.loads, chunks):
        for c in chunk["choices"]:
            m = choices.setdefault(c["index"], {"content": "", "reasoning_content": "", "tool_calls": [], "finish_reason": None})
            assert m["finish_reason"] is None, "nothing comes behind the finish reason"
            m["content"] += c["delta"].get("content") or ""
            m["reasoning_content"] += c["delta"].get("reasoning_content") or ""
            for call in c["delta"].get("tool_calls") or []:
                if call["index"] == len(m["tool_calls"]):
                    assert call["type"] == "function" and call["id"] and call["function"]["arguments"] == ""
                    m["tool_calls"].append([call["id"], call["function"]["name"], ""])
                else:
                    m["tool_calls"][call["index"]][2] += call["function"]["arguments"]
            m["finish_reason"] = c["finish_reason"]
    return [choices[i] for i in sorted(choices)]


def whole(choice):
    m = choice["message"]
    calls = [[c["id"], c["function"]["name"], c["function"]["arguments"]] for c in m.get("tool_calls", [])]
    return {"content": m["content"] or "", "reasoning_content": m.get("reasoning_content", ""), "tool_calls": calls, "finish_reason": choice["finish_reason"]}


def without_ids(message):
    return {**message, "tool_calls": [c[1:] for c in message["tool_calls"]]}


def cut(text, rng, pieces):
    at = sorted(rng.sample(range(1, len(text)), min(pieces, len(text)) - 1)) if len(text) > 1 else []
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)])]


@pytest.mark.parametrize("case", range(len(REPLIES)))
def test_a_reply_is_split_whole_and_streamed_alike_however_it_is_cut(running, case):
    model, text, thought, content, calls = REPLIES[case]
    engine, gateway = running[:2]
    reply = post(gateway, say(model, [text]))
    got = without_ids(whole(reply.json()["choices"][0]))
    assert got == {"content": content, "reasoning_content": thought, "tool_calls": [list(c) for c in calls], "finish_reason": "tool_calls" if calls else "stop"}
    assert int(reply.headers["content-length"]) == len(reply.content)
    rng = random.Random(case)
    cuts = [[text], list(text), *[cut(text, rng, rng.randint(2, 6)) for _ in range(6)]]
    for pieces in cuts:
        assert without_ids(gather(post(gateway, say(model, pieces, stream=True)))[0]) == got, pieces


def test_many_choices_each_have_parsers_of_their_own(running):
    replies = [r for r in REPLIES if r[0] == "qwen3-8b"]
    rng = random.Random(7)
    pieces = [cut(r[1], rng, 5) for r in replies]
    body = say("qwen3-8b", pieces, n=len(pieces))
    complete = [without_ids(whole(c)) for c in post(running[1], body).json()["choices"]]
    assert [m["content"] for m in complete] == [r[3] for r in replies]
    assert [m["tool_calls"] for m in complete] == [[list(c) for c in r[4]] for r in replies]
    assert [without_ids(m) for m in gather(post(running[1], {**body, "stream": True}))] == complete


def test_ids_look_as_the_model_wants_them(running):
    k3 = whole(post(running[1], say("moonshotai/kimi-k3", [REPLIES[8][1]])).json()["choices"][0])
    assert k3["tool_calls"][0][0] == "search:0"
    mistral = whole(post(running[1], say("mistral-7b", [REPLIES[9][1]])).json()["choices"][0])
    assert len(mistral["tool_calls"][0][0]) == 9 and mistral["tool_calls"][0][0].isalnum()
    qwen = whole(post(running[1], say("qwen3-8b", [REPLIES[2][1]])).json()["choices"][0])
    assert all(c[0].startswith("call_") and len(c[0]) == 29 for c in qwen["tool_calls"]) and len({c[0] for c in qwen["tool_calls"]}) == 2


def test_what_need_not_change_keeps_every_byte(running):
    engine, gateway, off, _ = running
    direct = httpx.Client(base_url=engine.url)
    id_and_time = r'"id":"[^"]*"|"created":[0-9]+'

    def same(body, through):
        import re
        mine, its = through.client.post("/v1/chat/completions", json=body), direct.post("/v1/chat/completions", json=body)
        assert re.sub(id_and_time, "", mine.text) == re.sub(id_and_time, "", its.text)

    for stream in (False, True):
        plain = say("qwen3-8b", list("a plain text\n with words"), stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
        marked = say("qwen3-8b", [f"<think>x</think>{QWEN}"], stream=stream)
        same(plain, gateway)
        same(marked, off)  # no parser is wanted
        same({**marked, "separate_reasoning": False, "tool_choice": "none"}, gateway)
        same({**say("qwen3-8b", [QWEN], stream=stream), "tools": []}, gateway)
        same(say("unheard-of", [f"<think>x</think>{QWEN}"], stream=stream), gateway)  # no format is known for it
    direct.close()


def test_the_request_says_what_is_looked_for(running):
    text = f"<think>x</think>{QWEN}"
    kept = whole(post(running[1], say("qwen3-8b", [text], separate_reasoning=False)).json()["choices"][0])
    assert kept["content"] == "<think>x</think>" and kept["reasoning_content"] == "" and len(kept["tool_calls"]) == 1
    no_calls = whole(post(running[1], say("qwen3-8b", [text], tool_choice="none")).json()["choices"][0])
    assert no_calls["content"] == QWEN and no_calls["reasoning_content"] == "x" and no_calls["finish_reason"] == "stop"


def test_thinking_that_is_off_makes_the_beginning_a_text_and_on_a_thought(running):
    for off in ({"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"thinking": False}}, {"reasoning_effort": "none"}):
        assert whole(post(running[1], say("deepseek-r1", ["answer"], **off)).json()["choices"][0])["content"] == "answer"
    on = {"chat_template_kwargs": {"thinking": True}}  # DeepSeek V3.1's template opens the thought in the prompt
    assert gather(post(running[1], say("deepseek-v3.1", ["r</thi", "nk>a"], stream=True, **on)))[0]["reasoning_content"] == "r"


def test_a_thought_may_be_told_at_once(running):
    reply = post(running[1], say("qwen3-8b", ["<think>", "one ", "two ", "three", "</think>", "a"], stream=True, stream_reasoning=False))
    thoughts = [c["choices"][0]["delta"]["reasoning_content"] for c in map(json.loads, events(reply)[:-1]) if c["choices"][0]["delta"].get("reasoning_content")]
    assert thoughts == ["one two three"]


def test_flags_name_the_parsers_by_any_of_their_names(running):
    got = whole(post(running[3], say("unheard-of", [f"thought</think>{QWEN}"])).json()["choices"][0])
    assert got["reasoning_content"] == "thought" and got["tool_calls"][0][1] == "get_weather"


def test_an_answer_that_was_cut_has_its_calls(running):
    got = gather(post(running[1], say("qwen3-8b", [QWEN, " and more", "..."], stream=True, max_tokens=2)))[0]
    assert got["finish_reason"] == "tool_calls" and len(got["tool_calls"]) == 1
    got = whole(post(running[1], say("qwen3-8b", ["<think>a", "b", "c"], max_tokens=2)).json()["choices"][0])
    assert got["finish_reason"] == "length" and got["reasoning_content"] == "ab"


def test_long_replies_are_parsed_beside_the_loops(running):
    text = "<think>" + "why? " * 20000 + "</think>" + "because. " * 10000 + QWEN
    got = whole(post(running[1], say("qwen3-8b", [text])).json()["choices"][0])
    assert (len(got["reasoning_content"]), len(got["content"]), len(got["tool_calls"])) == (100000, 90000, 1)
    bound = whole(post(running[1], say("qwen3-8b", [json.dumps({"city": "x" * 100000})], tool_choice=NAMED)).json()["choices"][0])
    assert [(name, len(arguments)) for _, name, arguments in bound["tool_calls"]] == [("get_weather", 100011)]


def test_the_openai_sdk_gets_calls_and_thoughts(running):
    model, text, thought, content, calls = REPLIES[1]
    with openai.OpenAI(base_url=running[1].url + "/v1", api_key="none", timeout=30 * SLOWNESS, max_retries=0) as client:
        args = {"model": model, "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS}
        reply = client.chat.completions.create(**args, extra_body={"mock_say": [text]})
        message = reply.choices[0].message
        assert (message.content, message.reasoning_content, reply.choices[0].finish_reason) == (None, thought, "tool_calls")
        assert [(c.type, c.function.name, c.function.arguments) for c in message.tool_calls] == [("function", *c) for c in calls]
        with client.chat.completions.stream(**args, extra_body={"mock_say": list(text)}) as stream:
            seen = [e.type for e in stream]
            final = stream.get_final_completion().choices[0]
        assert "tool_calls.function.arguments.done" in seen and final.finish_reason == "tool_calls" and final.message.role == "assistant"
        assert [(c.function.name, c.function.arguments) for c in final.message.tool_calls] == calls


NAMED = {"type": "function", "function": {"name": "get_weather"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
# spec parsers 12, vectors 16 to 18 and their like: model, tool_choice, what an engine writes that binds the model by a JSON schema, and what a client is to see: thought, content, calls
BOUND = [
    ("qwen3-8b", "required", '[{"name":"get_weather","parameters":{"city":"SF"}}]', None, None, [("get_weather", '{"city":"SF"}')]),
    ("qwen3-8b", NAMED, '{"city":"SF"}', None, None, [("get_weather", '{"city":"SF"}')]),
    ("qwen3-8b", "required", "[]", None, "[]", []),
    ("qwen3-8b", ALLOWED, '<think>r</think>\n[{"name":"get_weather","parameters":{}}, {"name":"search","parameters":{"city":"é\\n"}}]', "r", None, [("get_weather", "{}"), ("search", '{"city":"é\\n"}')]),
    ("deepseek-r1", NAMED, '{ "city": "SF",\n "days": 1e1 }\n', None, None, [("get_weather", '{"city":"SF","days":10.0}')]),
    ("qwen3-8b", NAMED, '{"city":"S', None, '{"city":"S', []),
    ("qwen3-8b", "required", f"Hm. {QWEN}", None, "Hm. ", [("get_weather", '{"city":"São \\"Paulo\\"\\n","days":3}')]),
]


def test_the_openai_sdk_gets_calls_of_engines_that_bind_the_model_by_a_schema(running):
    with openai.OpenAI(base_url=running[1].url + "/v1", api_key="none", timeout=30 * SLOWNESS, max_retries=0) as client:
        for model, choice, text, thought, content, calls in BOUND:
            args = {"model": model, "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, "tool_choice": choice}
            got = [client.chat.completions.create(**args, extra_body={"mock_say": [text]}).choices[0]]
            for pieces in ([text], list(text), [text[:5], text[5:]]):
                with client.chat.completions.stream(**args, extra_body={"mock_say": pieces}) as stream:
                    got.append(stream.get_final_completion().choices[0])
            for c in got:
                assert [(t.function.name, t.function.arguments) for t in c.message.tool_calls or []] == calls
                assert (c.message.content or None, getattr(c.message, "reasoning_content", None), c.finish_reason) == (content, thought, "tool_calls" if calls else "stop")


def test_the_openai_sdk_for_node_gets_calls_and_thoughts(running):
    script = ROOT / "tests/integration/node/tools.mjs"
    done = subprocess.run(["node", script, running[1].url + "/v1", "qwen3-8b", REPLIES[1][1]], capture_output=True, text=True, timeout=60 * SLOWNESS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"calls": [list(c) for c in REPLIES[1][4]], "thought": REPLIES[1][2], "finish": "tool_calls"}


def test_parsed_replies_are_counted(running):
    def value(name):
        return sum(v for k, v in running[1].metrics().items() if k.startswith(name))

    before = value('smg_parsed_tool_calls_total{parser="qwen"}'), value('smg_parsed_replies_total{streaming="true",result="changed"}')
    post(running[1], say("qwen3-8b", [QWEN, QWEN], stream=True))
    assert value('smg_parsed_tool_calls_total{parser="qwen"}') == before[0] + 2
    assert value('smg_parsed_replies_total{streaming="true",result="changed"}') == before[1] + 1


# ---- engines of other kinds ----

def chunked(*parts, fields=b"content-type: text/event-stream\r\n"):
    body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + fields + b"transfer-encoding: chunked\r\n\r\n" + body


def event(delta, finish=None, **more):
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "qwen3-8b", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def scripted(start, reply, *flags):
    engine = start(ScriptedEngine, lambda connection, request: connection.sendall(reply), model="qwen3-8b")
    return start(Gateway, "--parse-http-replies", *flags, workers=[engine]).ready(1)


def test_replies_that_are_parsed_already_or_are_not_ours_to_parse_go_through_as_they_are(start):
    replies = {}

    def reply(connection, request):
        connection.sendall(replies["now"])

    engine = start(ScriptedEngine, reply, model="qwen3-8b")
    gateway = start(Gateway, "--parse-http-replies", workers=[engine]).ready(1)
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    marked = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": f"<think>x</think>{QWEN}"}, "finish_reason": "stop"}]}).encode()
    own = json.dumps({"choices": [{"index": 0, "message": {"content": f"<think>x</think>{QWEN}", "reasoning_content": "y", "tool_calls": [call]}, "finish_reason": "tool_calls"}]}).encode()
    for status, fields, body in [(200, "content-type: application/json", own), (200, "content-type: application/json\r\ncontent-encoding: x-odd", marked), (400, "content-type: application/json", marked),
                                 (200, "content-type: text/plain", marked), (200, "content-type: application/json", b"{not json")]:
        replies["now"] = f"HTTP/1.1 {status} X\r\n{fields}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        got = post(gateway, say("qwen3-8b", ["-"]))
        assert (got.status_code, got.content) == (status, body)
    stream = b"".join(b"data: " + e.encode() + b"\n\n" for e in (event({"role": "assistant", "content": ""}), event({"reasoning_content": "y"}), event({"content": "<think>z"}), event({"tool_calls": [{"index": 0, **call}]}),
                                                                event({"content": "<tool_call>"}), event({}, "tool_calls"), "[DONE]"))
    replies["now"] = chunked(stream)
    assert post(gateway, say("qwen3-8b", ["-"], stream=True)).content == stream
    # Comments, names of events, log-probabilities and usage stay; a stream without an end gives what was held.
    replies["now"] = chunked(b": ping\n\n", b"event: x\r\ndata: " + event({"role": "assistant", "content": "a<thi"}, usage={"total_tokens": 1}).encode() + b"\r\n\r\n")
    text = post(gateway, say("qwen3-8b", ["-"], stream=True)).text
    assert text.startswith(": ping\n\nevent: x\ndata: ") and '"total_tokens": 1' in text and '"role": "assistant"' in text
    first, last = [json.loads(e.split("data: ")[1])["choices"][0] for e in text.removesuffix("\n\n").split("\n\n")[1:]]
    assert (first["delta"], last["delta"]) == ({"role": "assistant", "content": "a"}, {"content": "<thi"})


def test_too_long_a_call_ends_the_stream_with_an_error_and_leaves_a_whole_reply_as_it_was(start):
    long = "<tool_call>\n" + '{"name": "search", "arguments": {"city": "' + "x" * (5 << 20)
    parts = [event({"content": long[i : i + (1 << 18)]}) for i in range(0, len(long), 1 << 18)]
    gateway = scripted(start, chunked(*[b"data: " + p.encode() + b"\n\n" for p in parts]))
    last = events(post(gateway, say("qwen3-8b", ["-"], stream=True)))[-1]
    assert json.loads(last)["error"]["code"] == "reply_parse_failed" and "too long" in json.loads(last)["error"]["message"]
    huge = json.dumps({"choices": [{"index": 0, "message": {"content": "<think>" + "x" * (3 << 20)}, "finish_reason": "stop"}]}).encode()
    replies = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(huge) + huge,
               chunked(*[huge[i : i + 65536] for i in range(0, len(huge), 65536)], fields=b"content-type: application/json\r\n"))
    for reply in replies:
        gateway = scripted(start, reply)
        assert post(gateway, say("qwen3-8b", ["-"])).content == huge


def test_a_client_that_leaves_cancels(start):
    engine = start(Engine, "--model", "qwen3-8b", "--stall-after", 1)
    gateway = start(Gateway, "--parse-http-replies", workers=[engine]).ready(1)
    with gateway.client.stream("POST", "/v1/chat/completions", json=say("qwen3-8b", ["<think>a", "b"], stream=True)) as r:
        next(r.iter_bytes())
    wait_until(lambda: httpx.get(engine.url + "/mock/requests").json()["aborted"] == 1, what="the engine's abort")


# ---- /parse ----

def parse(gateway, what, **body):
    r = gateway.client.post("/parse/" + what, json=body)
    return r.status_code, r.json()


def test_the_rest_utilities_answer_as_specified(running):
    gateway = running[2]
    call = '{"name":"get_weather","arguments":{"city":"SF"}}'
    r = gateway.client.post("/parse/function_call", json={"text": call, "tool_call_parser": "json", "tools": []})
    assert r.text == '{"remaining_text":"","tool_calls":[{"function":{"name":"get_weather","arguments":"{\\"city\\":\\"SF\\"}"}}],"success":true}'
    assert parse(gateway, "function_call", text="", tool_call_parser="json", tools=[]) == (200, {"remaining_text": "", "tool_calls": [], "success": True})
    status, error = parse(gateway, "function_call", text="some text", tool_call_parser="nonexistent_parser", tools=[])
    assert (status, list(error)) == (400, ["error", "success", "available"]) and error["error"] == "Unknown tool parser: nonexistent_parser" and "qwen" in error["available"]
    for body in ({"tool_call_parser": "json", "tools": []}, {"text": "x", "tools": []}, {"text": 1, "tool_call_parser": "json"}, {"text": "x", "tool_call_parser": "json", "tools": [{"function": {"name": "f"}}]},
                 {"text": "x", "tool_call_parser": "json", "tools": [{"type": "function", "function": {}}]}):
        assert parse(gateway, "function_call", **body)[0] == 422
    r = gateway.client.post("/parse/reasoning", json={"text": "<think>internal</think>answer", "reasoning_parser": "deepseek_r1"})
    assert r.text == '{"normal_text":"answer","reasoning_text":"internal","success":true}'
    assert parse(gateway, "reasoning", text="plain", reasoning_parser="step3")[1] == {"normal_text": "", "reasoning_text": "plain", "success": True}
    assert parse(gateway, "reasoning", text="plain", reasoning_parser="qwen3")[1] == {"normal_text": "plain", "reasoning_text": "", "success": True}
    status, error = parse(gateway, "reasoning", text="x", reasoning_parser="invalid_parser_type")
    assert (status, error["error"], error["success"]) == (400, "Unknown reasoning parser: invalid_parser_type", False) and "qwen3" in error["available"]
    assert gateway.client.post("/parse/reasoning", content="x", headers={"content-type": "application/json"}).status_code == 400
    assert gateway.client.post("/parse/reasoning", content="{}").status_code == 415
    assert [gateway.client.get("/parse/" + p).status_code for p in ("reasoning", "function_call")] == [405, 405]


def test_rest_ids_and_tools_are_optional_and_parsers_have_aliases(running):
    status, got = parse(running[2], "function_call", text=QWEN, tool_call_parser=" Hermes", include_ids=True, model="kimi-k2")
    assert status == 200 and list(got["tool_calls"][0]) == ["id", "type", "function"] and got["tool_calls"][0]["id"] == "functions.get_weather:0"
    untyped = "<tool_call>\n<function=f>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>"
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"n": {"type": "string"}}}}}]
    assert parse(running[2], "function_call", text=untyped, tool_call_parser="qwen3-coder", tools=tools)[1]["tool_calls"][0]["function"]["arguments"] == '{"n":"2"}'
    assert parse(running[2], "function_call", text=QWEN, tool_call_parser="qwen", tools=[{"type": "function", "function": {"name": "f"}}])[0] == 200  # no parameters: {}
    dropped = "<|content_invoke_tool_json|>" '{"name":"search","args":{}}<|end_message|>'
    assert parse(running[2], "function_call", text=dropped, tool_call_parser="inkling", tools=[])[0] == 200


def test_long_texts_are_bounded(running):
    exact = "x" * 4194304
    status, got = parse(running[2], "reasoning", text=exact, reasoning_parser="qwen3")
    assert status == 200 and got["normal_text"] == exact
    assert parse(running[2], "reasoning", text=exact + "x", reasoning_parser="qwen3") == (400, {"error": "Failed to separate reasoning: Buffer overflow: 4194305 bytes exceeds maximum", "success": False})
    assert parse(running[2], "reasoning", text=exact + "x", reasoning_parser="passthrough")[0] == 200
    status, got = parse(running[2], "function_call", text="<tool_call>" + exact + "xx", tool_call_parser="qwen")
    assert status == 200 and got["tool_calls"] == [] and len(got["remaining_text"]) > len(exact)  # a whole text has no bound but the body's


def test_every_parser_is_listed_and_works(running):
    listed = running[2].client.get("/parse/parsers").json()["parsers"]
    assert {"json", "qwen", "mistral"} <= {p["name"] for p in listed if p["kind"] == "tool_call"}
    assert {"base", "qwen3", "deepseek_r1"} <= {p["name"] for p in listed if p["kind"] == "reasoning"}
    for p in listed:
        assert p["format"] and p["name"] not in p["aliases"]
        calls = p["kind"] == "tool_call"
        status, got = parse(running[2], "function_call" if calls else "reasoning", text="", **{"tool_call_parser" if calls else "reasoning_parser": p["name"]})
        assert status == 200 and got["success"] and not any(got[k] for k in got if k != "success")


# ---- smg parse ----


def smg(*args, text=""):
    done = subprocess.run([SMG, "parse", *args], input=text.encode(), capture_output=True, timeout=30 * SLOWNESS)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_prints_a_table_or_what_the_endpoint_answers(running):
    text = f"Look: {QWEN}"
    assert smg("tool", "--parser", "hermes", "--json", text=text)[1].strip() == running[2].client.post("/parse/function_call", json={"text": text, "tool_call_parser": "qwen"}).text
    assert smg("reasoning", "--model", "deepseek-r1", "--json", text="r</think>a")[1].strip() == '{"normal_text":"a","reasoning_text":"r","success":true}'
    lines = smg("tool", "-m", "Qwen/Qwen3-8B", text=text)[1].splitlines()
    assert lines[0].split() == ["PART", "FUNCTION", "TEXT"] and lines[1].split() == ["text", "Look:"] and lines[2].startswith("call 0  get_weather  {")
    assert json.loads(smg("list", "--json")[1]) == running[2].client.get("/parse/parsers").json()
    kinds = {(p["name"], p["kind"]): p.get("structural_tag") for p in running[2].client.get("/parse/parsers").json()["parsers"]}
    assert kinds["qwen", "tool_call"] is True and kinds["cohere", "tool_call"] is False and kinds["qwen3", "reasoning"] is None
    assert smg("tool", "--parser", "qwen", "--stream", text='<tool_call>{"name":"f","arguments":{"city":"Ro')[1].splitlines()[0].split() == ["open", '{"name":"f","arguments":{"city":"Ro"}}']
    assert len(smg("list")[1].splitlines()) == 1 + len(json.loads(smg("list", "--json")[1])["parsers"])


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_the_command_shows_deltas(cut):
    deltas = [json.loads(d) for d in smg("tool", "-p", "qwen", "--stream", "--cut", str(cut), "--json", text=f"é! {QWEN}")[1].splitlines()]
    assert "".join(d["text"] for d in deltas if d["kind"] == "text").strip() == "é!"
    assert [(d["index"], d["text"]) for d in deltas if d["kind"] == "call"] == [(0, "get_weather")] and deltas[-1] == {"kind": "end", "index": 0, "text": ""}
    assert json.loads("".join(d["text"] for d in deltas if d["kind"] == "arguments"))["days"] == 3
    thoughts = smg("reasoning", "-p", "qwen3", "--stream", "--cut", str(cut), text="<think>a\nb</think>c")[1].splitlines()
    assert "".join(t[10:] for t in thoughts if t.startswith("thought")) == "a\\nb"


def test_the_command_takes_types_from_the_offered_tools(tmp_path):
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps(TOOLS))
    text = REPLIES[7][1].replace("Rome", "12")
    for flags, city in (((), 12), (("--tools", tools), "12")):
        got = json.loads(smg("tool", "-p", "qwen_xml", "--json", *flags, text=text)[1])
        assert json.loads(got["tool_calls"][0]["function"]["arguments"])["city"] == city
    tools.write_text("{")
    status, _, error = smg("tool", "-p", "qwen_xml", "--tools", tools, text="x")
    assert status == 1 and "expected a JSON array of tools" in error


def test_the_command_says_what_is_wrong(tmp_path):
    for args, words in ((("tool",), "either --parser or --model"), (("tool", "-p", "x", "-m", "y"), "either --parser or --model"), (("tool", "-p", "nope"), "no parser of tool calls has this name"),
                        (("reasoning", "-p", "nope"), "no parser of thoughts has this name"), (("tool", "-m", "unheard-of"), "is not known"), (("reasoning", "-m", "unheard-of"), "no parser of thoughts is known")):
        status, _, error = smg(*args)
        assert status == 2 and words in error
    assert smg("tool", "-p", "qwen", "--tools", tmp_path / "none", text="x")[0] == 1


@pytest.mark.parametrize("flag, kind", [("--reasoning-parser", "reasoning"), ("--tool-call-parser", "tool-call")])
def test_an_unknown_name_stops_the_start(flag, kind):
    done = subprocess.run([SMG, "launch", flag, "nope"], capture_output=True, text=True, timeout=20 * SLOWNESS)
    assert done.returncode != 0 and f"unknown {kind} parser 'nope'" in done.stderr + done.stdout and "passthrough" in done.stderr + done.stdout
