"""Results are kept by content: same code, same inputs, no second computation, in any later run.

python examples/caching.py
"""

import secrets
from dataclasses import dataclass

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="caching", cache="auto")  # For every task below.


@dataclass(frozen=True)
class Text:
    title: str
    body: str


@env.task
def count_words(text: Text) -> int:
    print(f"counting {text.title}")  # Kept in the record, with the attempt that printed it.
    return len(text.body.split())


@env.task(cache=flyte.Cache("auto", ignored_inputs=("comment",)))
def longest(text: Text, comment: str) -> str:
    return max(text.body.split(), key=len)


@env.task(cache="disable")  # The root always runs, its children only when something is new.
async def main(texts: list[Text], comment: str) -> list[str]:
    counts = [await count_words.aio(text) for text in texts]
    words = [await longest.aio(text, comment) for text in texts]
    return [f"{n} words, longest {word!r}" for n, word in zip(counts, words, strict=True)]


if __name__ == "__main__":
    flyte.init()
    fresh = Text("fresh", f"never seen before {secrets.token_hex(4)}")
    known = Text("known", "the quick brown fox")
    for comment, texts in [
        ("computed", [known, fresh]),
        ("all from the cache, though this comment is new", [known, fresh]),
        ("one changed", [known, Text("fresh", f"{fresh.body} and more")]),
    ]:
        run = flyte.run(main, texts=texts, comment=comment)
        run.wait()
        print(f"{comment}: {run.outputs()[0]}")
    run = flyte.with_runcontext(overwrite_cache=True).run(main, texts=[known], comment="afresh")
    run.wait()
    print("afresh:", run.outputs()[0])
