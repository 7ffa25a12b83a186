"""The whole method in one short file, without this package: LLM-JEPA with one packed forward (torch and transformers only).

    L = mean XEnt(next token) + weight * mean (1 - cos(Pred(Enc(Text)), Enc(Code)))

A row holds three segments: the conversation [Text | Code], k learned [PRED] vectors that see Text alone, and Code alone. One
mask keeps them apart, positions count along what a token sees, and so one forward gives the next-token loss and both
embeddings, exactly as separate forwards would. Run it: `python examples/minimal.py`.
"""

import random

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

K, WEIGHT, STEPS, BATCH = 1, 0.1, 300, 16
STOP, PAD, SEPARATOR = 0, 1, 2


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Return (Text, Code): words, and the same said with digits."""
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    draw = random.Random(seed)
    digits = [[draw.randrange(10) for _ in range(draw.randint(2, 5))] for _ in range(count)]
    return [(" ".join(words[digit] for digit in row), "".join(map(str, row))) for row in digits]


def tokens(text: str) -> list[int]:
    """Return one token a character; 0 to 2 are the stop token, padding, and the mark between Text and Code."""
    return [ord(character) for character in text]


def pack(batch: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Lay out [Text | Code stop], [PRED] x k, [Code], and say what each token sees."""
    rows, seen, places, labels, reads = [], [], [], [], []
    for text, code in batch:
        text_ids, code_ids = [*tokens(text), SEPARATOR], tokens(code)
        sequence = [*text_ids, *code_ids, STOP]
        rows.append([*sequence, *[PAD] * K, *code_ids])
        starts = [0] * len(sequence) + [len(sequence)] * K + [len(sequence) + K] * len(code_ids)
        prefix = [0] * len(sequence) + [len(text_ids)] * K + [0] * len(code_ids)
        seen.append(list(zip(starts, prefix, strict=True)))
        places.append([*range(len(sequence)), *range(len(text_ids), len(text_ids) + K), *range(len(code_ids))])
        labels.append([(len(text_ids) - 1 + index, token) for index, token in enumerate([*code_ids, STOP])])
        reads.append((len(sequence) + K - 1 if K else len(text_ids) - 1, len(rows[-1]) - 1))
    length = max(map(len, rows))
    mask = torch.zeros(len(rows), 1, length, length, dtype=torch.bool)
    for row, sights in enumerate(seen):
        for query in range(length):
            start, prefix = sights[query] if query < len(sights) else (query, 0)
            mask[row, 0, query, start : query + 1] = True  # its own segment so far; a pad sees itself
            mask[row, 0, query, :prefix] = True  # and the visible prefix
    return {
        "ids": torch.tensor([row + [PAD] * (length - len(row)) for row in rows]),
        "mask": mask,
        "positions": torch.tensor([place + [0] * (length - len(place)) for place in places]),
        "slots": torch.tensor([[0 <= i - r[0] + K - 1 < K for i in range(length)] for r in reads]),
        "label_at": torch.tensor([row * length + at for row, items in enumerate(labels) for at, _ in items]),
        "label": torch.tensor([token for items in labels for _, token in items]),
        "reads": torch.tensor([[row * length + at for at in read] for row, read in enumerate(reads)]),
    }


def losses(model: LlamaForCausalLM, predictor: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return both terms, and the cosine of shuffled pairs: if it is as high as that of true pairs, views have collapsed."""
    embedded = model.get_input_embeddings()(batch["ids"])
    embedded = embedded.masked_scatter(batch["slots"][..., None], predictor.repeat(len(batch["ids"]), 1))
    output = model(
        inputs_embeds=embedded, attention_mask=batch["mask"], position_ids=batch["positions"], output_hidden_states=True
    )
    hidden = output.hidden_states[-1].flatten(0, 1)
    predicted, target = (functional.normalize(hidden[batch["reads"][:, side]], dim=-1) for side in (0, 1))
    cosine = predicted @ target.T
    matched = cosine.diagonal().mean()
    shuffled = (cosine.sum() - cosine.diagonal().sum()) / (len(cosine) * (len(cosine) - 1))
    next_token = functional.cross_entropy(output.logits.flatten(0, 1)[batch["label_at"]], batch["label"])
    return {"next_token": next_token, "jepa": 1 - matched, "matched": matched.detach(), "shuffled": shuffled.detach()}


@torch.no_grad()
def answer(model: LlamaForCausalLM, text: str) -> str:
    """Return the greedy answer to a Text; the [PRED] vectors are needed in training only."""
    ids = torch.tensor([[*tokens(text), SEPARATOR]])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, eos_token_id=STOP, pad_token_id=PAD)
    return "".join(chr(token) for token in out[0, ids.shape[1] :].tolist() if token > SEPARATOR)


def main(steps: int = STEPS) -> float:
    """Train, print both terms and the gap, and return the accuracy on held-out pairs."""
    torch.manual_seed(82)
    shape = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=128, max_position_embeddings=128, **shape))
    predictor = torch.nn.Parameter(torch.randn(K, shape["hidden_size"]) * 0.02)
    optimizer = torch.optim.AdamW([*model.parameters(), predictor], lr=2e-3)
    data, held_out = pairs(4000, seed=1), pairs(50, seed=2)
    for step in range(steps):
        at = step * BATCH % len(data)
        terms = losses(model, predictor, pack(data[at : at + BATCH]))
        optimizer.zero_grad()
        (terms["next_token"] + WEIGHT * terms["jepa"]).backward()
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3}  " + "  ".join(f"{name} {float(value.detach()):.3f}" for name, value in terms.items()))
    accuracy = sum(answer(model, text) == code for text, code in held_out) / len(held_out)
    print(f"accuracy on {len(held_out)} held-out pairs: {accuracy:.0%}")
    return accuracy


if __name__ == "__main__":
    main()
