"""Makes the tokenizers and cases.json in this folder with transformers; README.md says how to run it."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
CORPUS = ["a pipeline has stages, and stages have work", "what is two and two? it is four.", "Straße, naïve, 日本"] * 3
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SPECIAL += ["<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]"]
# As Phi-3 has them: they take the blanks behind them.
GREEDY = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    # Blanks are counted to no token, as where nobody says otherwise.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def sentence():
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=["<unk>", "<s>", "</s>", *byte_tokens])
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.train_from_iterator(["a pipeline has stages", "what is two and two? it is four."] * 3, trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def finish(tokenizer, name):
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    tokenizer.add_special_tokens([AddedToken(token, rstrip=True, normalized=False) for token in GREEDY])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(HERE / name)
    path = HERE / name / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False) + "\n")
    # Of the configuration, what is read.
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "special": True}, "add_bos_token": True}
    (HERE / name / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    return fast


def said(role, content, **more):
    return dict(role=role, content=content, **more)


SHORT = [said("user", "what is two and two?"), said("assistant", "it is four.")]
LONG = [*SHORT, said("user", "  and 日本?\n"), said("assistant", " Straße 🦀  \n")]
SYSTEM = [said("system", "Say little. "), *LONG]
CALL = dict(type="function", function=dict(name="add", arguments=dict(z=[1, 2.5, None, True], a="ü<b>&'\"", e={}, l=[])))
TOOLS = [dict(type="function", function=dict(name="add", parameters=dict(type="object", properties={}, required=["z"])))]
CALLS = [
    said("user", "two and two"),
    said("assistant", "", tool_calls=[CALL]),
    said("tool", "4"),
    said("assistant", "it is four."),
]
THOUGHT = [
    said("user", "two and two"),
    said("assistant", "<think>\na\n</think>\n\nfour"),
    said("user", "is it?"),
    said("assistant", "it is.", reasoning_content="\nwhat is it\n"),
    said("assistant", ""),
    said("assistant", "it is"),
]
CASES = [
    *[(template, messages, None) for template in ["chatml", "headers", "inst", "bars"] for messages in [SHORT, LONG, SYSTEM]],
    ("turns", SHORT, None),
    ("turns", LONG, None),
    ("turns", SYSTEM, None),
    ("inst", SHORT[1:], None),
    ("chatml", [*LONG, said("system", "late")], None),
    ("chatml", CALLS, TOOLS),
    ("headers", CALLS, TOOLS),
    ("chatml", THOUGHT, None),
    *[("marked", messages, None) for messages in [SHORT, LONG, SYSTEM, THOUGHT]],
]


def spans(render, messages, text):
    """What an assistant says, from how the beginnings of a conversation are written."""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        start = len(render(messages[:number], True)) if text.startswith(render(messages[:number], True)) else None
        if start is None:
            start = len(render(messages[:number], False))
        through = render(messages[: number + 1], False)
        if number + 1 < len(messages) and not text.startswith(through):
            through = through.removesuffix("</s>")
        assert text.startswith(text[:start]) and text.startswith(through), (text, through)
        yield start, len(through)


def case(tokenizer, name, template, messages, tools):
    source = (HERE / "templates" / f"{template}.jinja").read_text()

    def render(messages, prompt):
        return tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=source, add_generation_prompt=prompt, tokenize=False
        )

    made = dict(tokenizer=name, template=template, messages=messages, tools=tools)
    try:
        text = render(messages, False)
    except Exception as error:
        return made | dict(refused=str(error))
    if template == "marked":
        out = tokenizer.apply_chat_template(
            messages, chat_template=source, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        return made | dict(text=text, tokens=out["input_ids"], learnt=out["assistant_masks"])
    out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    said = list(spans(render, messages, text))
    learnt, end = [], 0
    for first, last in out["offset_mapping"]:
        first, end = min(first, end), max(end, last)
        learnt.append(int(any(start < last and first < stop for start, stop in said)))
    return made | dict(text=text, tokens=out["input_ids"], learnt=learnt)


def main():
    tokenizers = {"byte_level": finish(byte_level(), "byte_level"), "sentence": finish(sentence(), "sentence")}
    cases = [case(tokenizer, name, *given) for name, tokenizer in tokenizers.items() for given in CASES]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / "cases.json").write_text(f"[\n{lines}\n]\n")


main()
