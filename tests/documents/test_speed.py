"""Reading is fast enough to be done on every commit and in every editor."""

from __future__ import annotations

import gc
import time
import tracemalloc

from .builders import CONFIG_MAP, MODEL, parse

LONG_MODEL = MODEL.replace(
    "  serving:",
    "".join(f"    # version {n}: kept so that a rollout may go back to it\n" for n in range(8))
    + "  serving:",
)


def test_a_thousand_documents_are_read_in_half_a_second_of_cpu() -> None:
    files = [LONG_MODEL.replace("fraud-detector", f"model-{n}").encode() for n in range(1000)]
    started = time.process_time()
    parsed = [parse(content) for content in files]
    seconds = time.process_time() - started
    assert not any(file.problems for file in parsed)
    assert seconds < 0.5


def test_a_plain_document_costs_less_than_four_times_its_text_in_memory() -> None:
    text = CONFIG_MAP + "".join(f"  key-{n}: a value of some length {n}\n" for n in range(30))
    parse(text)
    tracemalloc.start()
    kept = [parse(text.replace("settings", f"settings-{n}")).documents for n in range(200)]
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept) < 4 * len(text)


def test_a_file_of_problems_costs_no_more_than_a_second() -> None:
    text = "kind: Model\n" + "".join(f"field-{n}: no\n" for n in range(40_000))
    started = time.process_time()
    parse(text)
    assert time.process_time() - started < 1
