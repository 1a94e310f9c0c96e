"""What a tool server says of its tools, and the digests by which scopes pin them.

Separate from the connection to a server, which is not believed. The invariant: the digest is of
the whole definition, so that neither a description nor a schema changes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from reconciler.core.audit.canonical import canonical
from reconciler.core.errors import Unavailable
from reconciler.core.manifests import JsonObject, JsonValue, digest_of


def tool_digest(definition: JsonObject) -> str:
    """Of one entry of `tools/list`, as an AgentScope pins it."""
    return str(digest_of(canonical(definition)))


def digests_of(result: JsonObject) -> Mapping[str, str]:
    """By name, of one page of `tools/list`. Raises Unavailable for what is no such page."""
    tools = result.get("tools")
    if not isinstance(tools, list):
        raise Unavailable("a tool server lists no tools")
    found: dict[str, str] = {}
    for tool in tools:
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(tool, dict) or not isinstance(name, str) or name in found:
            raise Unavailable("a tool server lists what is no tool, or one twice")
        found[name] = tool_digest(tool)
    return found


def result_of(content: bytes, content_type: str, identifier: int) -> JsonObject:
    """The result of a JSON-RPC request, from a JSON body or a stream of events."""
    texts = [content]
    if content_type.startswith("text/event-stream"):
        lines = content.replace(b"\r\n", b"\n").split(b"\n")
        texts = [line[5:].strip() for line in lines if line.startswith(b"data:")]
    for text in texts:
        message = _parsed(text)
        if isinstance(message, dict) and message.get("id") == identifier:
            result = message.get("result")
            if isinstance(result, dict):
                return result
    raise Unavailable("a tool server gives no result")


def _parsed(text: bytes) -> JsonValue:
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value
