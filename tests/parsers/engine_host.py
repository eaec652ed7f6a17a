"""The other side of engines.py: the tool-call parsers of SGLang or vLLM, out of their unpacked wheels, without their engines.

    engine_host.py sglang|vllm ROOT   reads lines {"name", "tools", "texts"} and answers each with a line of [content, [[name, arguments], ...]] or null per text

What the parsers import beside themselves (GPU libraries, servers, their request classes) is stood in for by empty modules whose names can be called and subclassed; the classes of tools are real.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import logging
import sys
import types
import typing

import pydantic

logging.disable(logging.CRITICAL)
KIND, ROOT = sys.argv[1], sys.argv[2]
REAL = {"sglang": ("sglang.srt.function_call", "sglang.srt.parser"), "vllm": ("vllm.tool_parsers", "vllm.parser")}[KIND]


class Anyclass(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class Anything(metaclass=Anyclass):
    """Stands for a class, a function or a value that no parser needs for parsing."""

    def __init__(self, *args, **kwargs):
        pass

    def __init_subclass__(cls, **kwargs):
        pass

    def __class_getitem__(cls, item):
        return cls

    def __call__(self, *args, **kwargs):
        return args[0] if len(args) == 1 and callable(args[0]) else Anything()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __bool__(self):
        return False

    def __or__(self, other):
        return typing.Any

    __ror__ = __or__


class Empty(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        value = Anyclass(name, (Anything,), {}) if name[:1].isupper() else Anything()
        setattr(self, name, value)
        return value


class Function(pydantic.BaseModel):
    name: typing.Optional[str] = None
    description: typing.Optional[str] = None
    parameters: typing.Optional[dict] = None
    arguments: typing.Optional[typing.Any] = None
    strict: bool = False


class Tool(pydantic.BaseModel):
    type: str = "function"
    function: Function
    defer_loading: bool = False


class ToolCall(pydantic.BaseModel):
    id: typing.Any = None
    type: typing.Any = "function"
    index: typing.Any = None
    function: typing.Any = None


class FunctionCall(pydantic.BaseModel):
    id: typing.Any = None
    name: typing.Optional[str] = None
    arguments: typing.Optional[str] = None


class Delta(pydantic.BaseModel):
    content: typing.Optional[str] = None
    reasoning: typing.Optional[str] = None
    tool_calls: list = []


class Extracted(pydantic.BaseModel):
    tools_called: bool = False
    tool_calls: list = []
    content: typing.Optional[str] = None


class Request:
    """A chat completion request, as far as parsers look at one."""

    def __init__(self, tools):
        self.tools, self.tool_choice, self.skip_special_tokens, self.include_reasoning = tools, "auto", False, True

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


CLASSES = {
    "Function": Function, "FunctionDefinition": Function, "Tool": Tool, "ChatCompletionToolsParam": Tool, "FunctionTool": type("FunctionTool", (), {}), "ToolCall": ToolCall, "FunctionCall": FunctionCall,
    "DeltaFunctionCall": FunctionCall, "DeltaToolCall": ToolCall, "DeltaMessage": Delta, "ExtractedToolCallInformation": Extracted, "ChatCompletionRequest": Request,
}  # fmt: skip


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Their parsers are real, everything else of theirs, and what is not installed, is empty."""

    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top == KIND and not any(name == r or name.startswith(r + ".") or r.startswith(name + ".") for r in REAL):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if top == KIND and any(r.startswith(name + ".") for r in REAL):
            return importlib.machinery.ModuleSpec(name, self, is_package=True, origin="parent")
        return None

    def create_module(self, spec):
        module = Empty(spec.name)
        module.__path__ = [f"{ROOT}/{spec.name.replace('.', '/')}"] if spec.origin == "parent" else []
        for name, value in CLASSES.items():
            setattr(module, name, value)
        return module

    def exec_module(self, module):
        pass


class Absent(Finder):
    """Libraries that only serving needs."""

    NAMES = {"torch", "transformers", "xgrammar", "mistral_common", "triton", "zmq", "fastapi", "uvloop", "openai_harmony", "huggingface_hub", "tiktoken", "prometheus_client"}

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in self.NAMES else None


class Tokenizer:
    """Every marker is a token: parsers look their tags up, and none is dropped."""

    class Vocabulary(dict):
        def __contains__(self, key):
            return True

        def __missing__(self, key):
            return self.setdefault(key, 1000 + len(self))

        def get(self, key, default=None):
            return self[key]

    vocabulary = Vocabulary()
    all_special_tokens, all_special_ids, eos_token, eos_token_id, is_fast = [], [], "</s>", 2, True

    def get_vocab(self):
        return self.vocabulary

    def get_added_vocab(self):
        return self.vocabulary

    @property
    def vocab(self):
        return self.vocabulary

    def encode(self, text, **kwargs):
        return [self.vocabulary[c] for c in text]

    def decode(self, ids, **kwargs):
        names = {v: k for k, v in self.vocabulary.items()}
        return "".join(names.get(i, "") for i in ids)

    def convert_tokens_to_ids(self, token):
        return self.vocabulary[token]

    def convert_ids_to_tokens(self, i):
        return {v: k for k, v in self.vocabulary.items()}.get(i)


def sglang(name, tools, text):
    from sglang.srt.function_call.function_call_parser import FunctionCallParser

    content, calls = FunctionCallParser(tools, name).parse_non_stream(text)
    return content, [(c.name, c.parameters) for c in calls]


def vllm(name, tools, text):
    from vllm.tool_parsers import ToolParserManager

    found = ToolParserManager.get_tool_parser(name)(Tokenizer(), tools).extract_tool_calls(text, Request(tools))
    return found.content or "", [(c.function.name, c.function.arguments) for c in found.tool_calls]


def main():
    sys.path.insert(0, ROOT)
    sys.meta_path.insert(0, Finder())
    sys.meta_path.insert(0, Absent())
    parse = {"sglang": sglang, "vllm": vllm}[KIND]
    importlib.import_module(f"{KIND}.envs" if KIND == "vllm" else "sglang.srt.environ").VLLM_TOOL_PARSE_REGEX_TIMEOUT_SECONDS = 5
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        tools, answers = [Tool(**t) for t in job["tools"]], []
        for text in job["texts"]:
            try:
                answers.append(parse(job["name"], tools, text))
            except Exception as e:  # noqa: BLE001 (any fault of theirs is an answer)
                answers.append(["", [], f"{type(e).__name__}: {e}"])
        print(json.dumps(answers), file=out, flush=True)


if __name__ == "__main__":
    main()
