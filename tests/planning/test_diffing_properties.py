"""What holds of differences and digests for every object, whoever owns its fields."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.core.diffing import NOTHING_OWNED, field_changes, owned_digest
from reconciler.core.manifests import JsonObject, JsonValue

MODEL = ("f:spec", "f:containers", 'k:{"name":"model"}')
SCALARS = [
    ("f:data", "f:threshold"),
    ("f:data", "f:model.json"),
    ("f:metadata", "f:labels", "f:team"),
    ("f:metadata", "f:annotations", "f:example.com/a"),
    ("f:spec", "f:replicas"),
    (*MODEL, "f:image"),
    (*MODEL, "f:resources", "f:limits", "f:memory"),
    ("f:spec", "f:containers", 'k:{"name":"proxy"}', "f:image"),
    ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:targetPort"),
    ("f:spec", "f:ports", 'k:{"port":80,"protocol":"UDP"}', "f:targetPort"),
]
ATOMS = [(*MODEL, "f:args"), ("f:spec", "f:selector")]
MEMBERS = [("f:metadata", "f:finalizers", 'v:"a"'), ("f:metadata", "f:finalizers", 'v:"b"')]

scalars: st.SearchStrategy[JsonValue] = (
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3)
)
atoms: st.SearchStrategy[JsonValue] = st.lists(scalars, max_size=2) | st.dictionaries(
    st.text(max_size=2), scalars, max_size=2
)
managers = st.sets(st.sampled_from(["fairlead", "hpa", "mesh"]))


@dataclass(frozen=True)
class Field:
    path: tuple[str, ...]
    value: JsonValue
    managers: frozenset[str]

    @property
    def ours(self) -> bool:
        return "fairlead" in self.managers


@st.composite
def fields_of_objects(draw: st.DrawFn) -> list[Field]:
    paths = draw(st.lists(st.sampled_from(SCALARS + ATOMS + MEMBERS), unique=True, min_size=1))
    return [
        Field(path, draw(atoms if path in ATOMS else scalars), frozenset(draw(managers)))
        for path in paths
    ]


def stored(fields: list[Field]) -> JsonObject:
    """The object that an API server would hold."""
    body: JsonObject = {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "thing"}}
    sets: dict[str, JsonObject] = {}
    for field in fields:
        place(body, field.path, field.value)
        for manager in sorted(field.managers):
            own(sets.setdefault(manager, {}), field.path)
    cast(JsonObject, body["metadata"])["managedFields"] = [
        {
            "manager": manager,
            "operation": "Apply" if manager == "fairlead" else "Update",
            "fieldsV1": fields_v1,
        }
        for manager, fields_v1 in sets.items()
    ]
    return body


def place(parent: JsonValue, path: tuple[str, ...], value: JsonValue) -> None:
    step, *rest = path
    if isinstance(parent, list):
        key = cast(JsonValue, orjson.loads(step[2:]))
        if step.startswith("v:"):
            parent.append(key)
            return
        named = cast(JsonObject, key)
        item = next((i for i in parent if cast(JsonObject, i).items() >= named.items()), None)
        if item is None:
            parent.append(item := dict(named))
        place(item, tuple(rest), value)
    elif not rest:
        cast(JsonObject, parent)[step[2:]] = value
    else:
        empty: JsonValue = {} if rest[0].startswith("f:") else []
        place(cast(JsonObject, parent).setdefault(step[2:], empty), tuple(rest), value)


def own(fields: JsonObject, path: tuple[str, ...]) -> None:
    for step in path:
        fields = cast(JsonObject, fields.setdefault(step, {}))
        if step.startswith("k:"):
            named = cast(JsonObject, orjson.loads(step[2:]))
            fields.update({".": {}, **{f"f:{name}": {} for name in named}})


def changed(field: Field, value: JsonValue) -> Field:
    return Field(field.path, value, field.managers)


def reordered(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: reordered(part) for name, part in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def same_json(one: JsonValue, two: JsonValue) -> bool:
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        two, option=orjson.OPT_SORT_KEYS
    )


@given(fields_of_objects())
def test_the_digest_does_not_depend_on_the_order_of_fields(fields: list[Field]) -> None:
    body = stored(fields)
    assert owned_digest(cast(JsonObject, reordered(body))) == owned_digest(body)


@given(fields_of_objects())
def test_reading_leaves_the_object_alone(fields: list[Field]) -> None:
    body = stored(fields)
    before = copy.deepcopy(body)
    owned_digest(body)
    field_changes(None, body)
    assert body == before


@given(fields_of_objects(), st.data())
def test_a_change_of_what_others_own_keeps_the_digest(
    fields: list[Field], data: st.DataObject
) -> None:
    after = [
        field if field.ours or field.path in ATOMS else changed(field, data.draw(scalars))
        for field in fields
    ]
    assert owned_digest(stored(after)) == owned_digest(stored(fields))
    assert field_changes(stored(fields), stored(after))[0] == ()


@given(fields_of_objects(), st.data())
def test_a_change_of_any_value_we_own_moves_the_digest_and_is_shown(
    fields: list[Field], data: st.DataObject
) -> None:
    ours = [field for field in fields if field.ours and field.path not in MEMBERS]
    assume(ours)
    field = data.draw(st.sampled_from(ours))
    value = data.draw(atoms if field.path in ATOMS else scalars)
    assume(not same_json(value, field.value))
    after = [changed(f, value) if f is field else f for f in fields]
    assert owned_digest(stored(after)) != owned_digest(stored(fields))
    assert field_changes(stored(fields), stored(after))[0]


@given(fields_of_objects(), st.data())
def test_the_loss_of_a_field_to_another_manager_moves_the_digest(
    fields: list[Field], data: st.DataObject
) -> None:
    ours = [field for field in fields if field.ours]
    assume(ours)
    lost = data.draw(st.sampled_from(ours))
    taken = Field(lost.path, lost.value, frozenset({"kubectl-edit"}))
    after = stored([taken if field is lost else field for field in fields])
    before = stored(fields)
    assert owned_digest(after) != owned_digest(before)


@given(fields_of_objects(), st.data())
def test_the_removal_of_any_field_we_own_is_shown(fields: list[Field], data: st.DataObject) -> None:
    ours = [field for field in fields if field.ours]
    assume(ours)
    gone = data.draw(st.sampled_from(ours))
    assert field_changes(stored(fields), stored([f for f in fields if f is not gone]))[0]


@given(fields_of_objects(), fields_of_objects())
def test_objects_with_one_digest_do_not_differ(one: list[Field], two: list[Field]) -> None:
    before, after = stored(one), stored(two)
    if owned_digest(before) == owned_digest(after):
        assert field_changes(before, after)[0] == ()


@given(fields_of_objects(), fields_of_objects())
def test_changes_are_sorted_and_each_field_is_listed_once(
    one: list[Field], two: list[Field]
) -> None:
    changes, _ = field_changes(stored(one), stored(two))
    paths = [change.path for change in changes]
    assert paths == sorted(set(paths))


@given(fields_of_objects())
def test_an_object_of_which_we_own_nothing_has_the_constant_digest(fields: list[Field]) -> None:
    body = stored([Field(f.path, f.value, f.managers - {"fairlead"}) for f in fields])
    assert owned_digest(body) == NOTHING_OWNED
    assert field_changes(None, body)[0] == ()
