"""Contents of files that are wrong on purpose."""

from __future__ import annotations

import base64
import json

import pytest

from tests.engine.world import config_map, deployment

from .estate import Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = "apps/web/x.yaml"
HIDDEN = "hunter2-correct-horse-battery-staple"
ENCODED = base64.b64encode(HIDDEN.encode()).decode()

SECRET = f"""\
apiVersion: v1
kind: Secret
metadata: {{name: x, namespace: team-a}}
data: {{password: {ENCODED}}}
"""
AWS_KEY = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def metadata(*lines: str, name: str = "x") -> bytes:
    """A ConfigMap whose metadata has these lines, the first of them on line 6 of the file."""
    more = "".join(f"  {line}\n" for line in lines)
    text = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: team-a\n{more}"
    )
    return text.encode()


def pod(*lines: str) -> bytes:
    image = "registry.example.com/app@sha256:" + "a" * 64
    text = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: x, namespace: team-a}}
spec:
  containers:
  - name: main
    image: {image}
"""
    return (text + "".join(f"    {line}\n" for line in lines)).encode()


def billion_laughs() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines).encode()


BOMBS = {
    "billion laughs": (billion_laughs(), "yaml-alias"),
    "an alias of itself": (b"a: &a [*a]\n", "yaml-alias"),
    "deep flow": (b"[" * 200_000, "too-deep"),
    "deep blocks": (b"".join(b"%sa:\n" % (b" " * n) for n in range(1200)), "too-deep"),
    "deep keys": (b"? " * 5000, "too-deep"),
    "anchors": (b"".join(b"- &a%d x\n" % n for n in range(60_000)), "not-an-object"),
    "a huge key": (b"k" * 900_000 + b": 1\n", "yaml-syntax"),
    "a huge scalar": (b"a: " + b"v" * 900_000, "field-missing"),
    "ten thousand documents": (b"--- \n" * 20_000, "too-many-documents"),
    "a wide list": (b"[" + b"1," * 400_000 + b"]", "not-an-object"),
    "tags": (b"!!python/object/apply:os.system ['touch /tmp/x']\n", "yaml-tag"),
    "merges": (b"a: &a {b: 1}\nc: {<<: *a}\n", "yaml-merge"),
    "a number of digits": (b"a: " + b"9" * 900_000, "ambiguous-scalar"),
    "UTF-16": ("apiVersion: v1\n".encode("utf-16"), "not-utf-8"),
    "NUL": (b"a: \0\n", "forbidden-character"),
    "duplicate keys": (config_map("x") + b"data: {value: other}\n", "duplicate-key"),
    "bidirectional text": ("a: \u202eb\n".encode(), "forbidden-character"),
    "an escape sequence": (b"a: \x1b[31m\n", "forbidden-character"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_attack_20_yaml_that_would_explode(siege: Siege, name: str) -> None:
    content, code = BOMBS[name]
    refusal = await siege.resists(siege.origin.push({FILE: content}))
    assert code in {problem[0] for problem in refusal.problems}, refusal.problems[:5]
    assert len(refusal.explanation) < 1000


SECRETS = {
    "plain": SECRET,
    "second document": config_map("b2").decode() + "---\n" + SECRET,
    "quoted kind": SECRET.replace("Secret", '"\\x53ecret"'),
    "by anchor": SECRET.replace("kind: Secret", "x: &k Secret\nkind: *k"),
    "kind twice": SECRET.replace("kind: Secret", "kind: ConfigMap\nkind: Secret"),
    "list": "apiVersion: v1\nkind: List\nmetadata: {name: x}\nitems:\n- "
    + json.dumps({"apiVersion": "v1", "kind": "Secret", "data": {"p": ENCODED}}),
    "secret list": "apiVersion: v1\nkind: SecretList\nmetadata: {name: x}\n"
    f"items: [{{data: {{p: {ENCODED}}}}}]\n",
    "small letters": SECRET.replace("Secret", "secret"),
    "capital letters": SECRET.replace("Secret", "SECRET"),
    "space around": SECRET.replace("Secret", '" Secret "'),
    "invisible letter": SECRET.replace("Secret", '"Secret\\u200b"'),
    "Cyrillic letter": SECRET.replace("Secret", "S\u0435cret"),
    "slash in version": SECRET.replace("apiVersion: v1", 'apiVersion: "/v1"'),
    "core group": SECRET.replace("apiVersion: v1", "apiVersion: core/v1"),
    "other version": SECRET.replace("apiVersion: v1", "apiVersion: v1beta1"),
    "version in capitals": SECRET.replace("apiVersion: v1", "apiVersion: V1"),
    "number as version": SECRET.replace("apiVersion: v1", "apiVersion: 1"),
    "stringData": SECRET.replace("data:", "stringData:"),
}


@pytest.mark.parametrize("disguise", SECRETS)
async def test_attack_18_a_secret_in_every_disguise(siege: Siege, disguise: str) -> None:
    refusal = await siege.resists(siege.origin.push({FILE: SECRETS[disguise].encode()}))
    assert all(path == FILE and line for _, path, line in refusal.problems)
    await assert_nowhere(siege, HIDDEN, ENCODED)


async def test_a_secret_in_json_is_refused(siege: Siege) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"p": ENCODED}}
    commit = siege.origin.push({"apps/web/x.json": json.dumps(body).encode()})
    await siege.resists(commit, ("secret-in-git", "apps/web/x.json", 1))
    await assert_nowhere(siege, ENCODED)


CREDENTIALS = {
    "variable": pod("env:", f"- {{name: AWS_KEY, value: {AWS_KEY}}}"),
    "password": pod("env:", f"- {{name: DB_PASSWORD, value: {HIDDEN}}}"),
    "argument": pod(f"args: [--token, {GITHUB}]"),
    "part of an argument": pod(f"command: [sh, -c, 'curl -H \"Bearer {GITHUB}\" x']"),
    "URL": pod("args: ['postgres://admin:s3cr3t-pw@db/prod']"),
    "annotation": metadata(f"annotations: {{note: {GITHUB}}}"),
    "data": config_map("x", GITHUB),
    "key of data": metadata() + f"data:\n  {GITHUB}: x\n".encode(),
    "private key": metadata()
    + b"data:\n  key.pem: |\n    -----BEGIN RSA PRIVATE KEY-----\n    MII\n",
    "binary data": metadata()
    + f"binaryData: {{x: {base64.b64encode(f'token={GITHUB}'.encode()).decode()}}}\n".encode(),
}


@pytest.mark.parametrize("place", CREDENTIALS)
async def test_attack_18_a_credential_wherever_it_stands(siege: Siege, place: str) -> None:
    refusal = await siege.resists(siege.origin.push({FILE: CREDENTIALS[place]}))
    assert {problem[0] for problem in refusal.problems} == {"secret-value"}
    assert all(line for _, _, line in refusal.problems)
    await assert_nowhere(siege, HIDDEN, AWS_KEY, GITHUB, "s3cr3t-pw")


async def assert_nowhere(siege: Siege, *values: str) -> None:
    text = "\n".join(await siege.output())
    assert not [value for value in values if value in text]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('labels: {fairlead.dev/repository: "other"}', "reserved-label"),
        ('labels: {x.fairlead.dev/y: "1"}', "reserved-label"),
        (f"annotations: {{fairlead.dev/commit: {'a' * 40}}}", "reserved-label"),
        ('annotations: {FAIRLEAD.dev/commit: "1"}', "label"),
        ('annotations: {"fairlead.dev\\u200b/commit": "1"}', "forbidden-character"),
        ("generateName: x-", "generate-name"),
        ("ownerReferences: [{apiVersion: v1, kind: Node, name: node, uid: u}]", "server-field"),
        ("managedFields: [{manager: kubectl}]", "server-field"),
        ("managedFields: null", "server-field"),
        ("uid: 0f0e", "server-field"),
        ('resourceVersion: "1"', "server-field"),
        ("deletionTimestamp: '2027-01-01T00:00:00Z'", "server-field"),
        ("finalizers: [example.com/never]", "finalizers"),
        ('labels: {a: "b\\nc"}', "label"),
        ('labels: {"a\\e[31m": b}', "forbidden-character"),
        ('labels: {"a b": c}', "label"),
        ("labels: [a]", "label"),
        ("labels: {a: 1}", "label"),
        ("annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}", "server-field"),
    ],
)
async def test_attack_24_metadata_that_is_not_the_authors_to_write(
    siege: Siege, line: str, code: str
) -> None:
    refusal = await siege.resists(siege.origin.push({FILE: metadata(line)}))
    assert (code, FILE, 6) in refusal.problems, refusal.problems


async def test_a_status_is_refused(siege: Siege) -> None:
    commit = siege.origin.push({FILE: deployment("x") + b"status: {readyReplicas: 9}\n"})
    await siege.resists(commit, ("server-field", FILE, 13))


@pytest.mark.parametrize(
    "name",
    [
        "a;reboot",
        "$(reboot)",
        "`reboot`",
        "a|b",
        "a&b",
        "../../team-b/x",
        "a/b",
        "a?x=1",
        "a#b",
        "a%2e%2e",
        '"a\\nb"',
        '"a\\r\\nb"',
        '"\\e[31m"',
        '"a\\u202eb"',
        '"a\\u200bb"',
        "A",
        "-a",
        "a" * 254,
        "ｆｕｌｌ",
        '""',
        "null",
        "[a]",
    ],
)
async def test_a_name_that_is_none_is_refused_and_shown_harmless(siege: Siege, name: str) -> None:
    document = metadata(name=name)
    refusal = await siege.resists(siege.origin.push({FILE: document}))
    assert {(path, line) for _, path, line in refusal.problems} <= {(FILE, 4), (FILE, 3)}


@pytest.mark.parametrize(
    "namespace", ['"team-a/../kube-system"', '"\\e[0m"', "team-*", '"team-a\\n"', "a;b"]
)
async def test_a_namespace_that_is_none_is_refused(siege: Siege, namespace: str) -> None:
    document = config_map("x", namespace=namespace)
    refusal = await siege.resists(siege.origin.push({FILE: document}))
    assert {(path, line) for _, path, line in refusal.problems} == {(FILE, 3)}


async def test_one_object_in_two_files_is_refused(siege: Siege) -> None:
    commit = siege.origin.push({FILE: config_map("a", "other"), "apps/z/a.yaml": config_map("b")})
    refusal = await siege.resists(commit, ("duplicate-object", FILE, 1))
    assert ("duplicate-object", "apps/z/a.yaml", 1) in refusal.problems


async def test_two_api_versions_of_one_object_are_refused(siege: Siege) -> None:
    other = deployment("x").replace(b"apps/v1", b"apps/v1beta2")
    commit = siege.origin.push({FILE: deployment("x") + b"---\n" + other})
    await siege.resists(commit, ("duplicate-object", FILE, 14))
