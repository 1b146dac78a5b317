"""Manifests made from valid ones: each field that a schema knows is changed, taken away or given where it is missing."""
import copy
import random

NOWHERE = object()
LONG = "a" * 300
# What a field of a type is given. The first is of another type.
STRINGS = [5, "", "x", "Not a Name!", "-1", LONG, "a.b/c", "10.0.0.1", "None", "example.com/name"]
INTEGERS = ["x", -1, 0, 1, 3, 70000, 2147483647, 4294967296]
NUMBERS = ["x", -1, 0, 0.5]
BOOLEANS = ["x", True, False]
QUANTITIES = ["1", "0", "-1", "abc", "100m", "1Gi", 5, "0.5"]
PORTS = [80, -1, 0, 70000, "http", "Not a Name!", "50%", "150%", "-5%", ""]
TIMES = ["yesterday", "2030-01-01T00:00:00Z", 5, "", None]
MAPS = [{"": "x"}, {"Not a Key!": "x"}, {"a": 5}, {"a": "b"}, {LONG: "x"}, {"example.com/a": "b c"}, {}]


class Schemas:
    """The schemas of one document of OpenAPI v3."""

    def __init__(self, document):
        self.all = document["components"]["schemas"]

    def of_kind(self, group, version, kind):
        for name, schema in self.all.items():
            for gvk in schema.get("x-kubernetes-group-version-kind", []):
                if (gvk["group"], gvk["version"], gvk["kind"]) == (group, version, kind) and "apiVersion" in schema.get("properties", {}):
                    return name
        return None

    def resolve(self, schema):
        """The name of a definition, if it is one, and what it says."""
        for part in [schema, *schema.get("allOf", [])]:
            if "$ref" in part:
                name = part["$ref"].rsplit("/", 1)[1]
                return name, self.all[name]
        return None, schema


def fields(schemas, name, value, path=(), within=()):
    """All fields below a value of the definition `name`: (definition, field), path, schema, value or NOWHERE."""
    schema = schemas.all[name]
    for field, of in schema.get("properties", {}).items():
        if not path and field in ("apiVersion", "kind", "status"):
            continue
        there = value.get(field, NOWHERE) if isinstance(value, dict) else NOWHERE
        yield (name, field), path + (field,), of, there
        yield from below(schemas, of, there, path + (field,), within + (name,))


def below(schemas, of, there, path, within):
    """The fields below one of type `of`."""
    name, schema = schemas.resolve(of)
    if name and "properties" in schema:
        # What is not there is looked into as well, but not without end.
        if within.count(name) < (2 if there is not NOWHERE else 1) and len(within) < 12:
            yield from fields(schemas, name, there, path, within)
    elif "items" in schema:
        item = there[0] if isinstance(there, list) and there else NOWHERE
        yield from below(schemas, schema["items"], item, path + (0,), within)
    elif isinstance(schema.get("additionalProperties"), dict):
        key = next(iter(there)) if isinstance(there, dict) and there else "key"
        item = there[key] if isinstance(there, dict) and there else NOWHERE
        yield from below(schemas, schema["additionalProperties"], item, path + (key,), within)


def choices(schemas, of, there):
    """What a field of type `of` may be given."""
    name, schema = schemas.resolve(of)
    kind, form = schema.get("type"), schema.get("format", "")
    if name and name.endswith("api.resource.Quantity"):
        return QUANTITIES
    if name and name.endswith("util.intstr.IntOrString"):
        return PORTS
    if form == "date-time":
        return TIMES
    if "enum" in of or "enum" in schema:
        return [*(of.get("enum") or schema.get("enum")), "Nothing", "", 5]
    if kind == "string":
        return STRINGS
    if kind == "integer":
        return INTEGERS
    if kind == "number":
        return NUMBERS
    if kind == "boolean":
        return BOOLEANS
    if "items" in schema:
        first = [] if not isinstance(there, list) or not there else [there + [there[0]], there[:-1]]
        item_name, item = schemas.resolve(schema["items"])
        plain = [["x"], ["x", "x"], [""], ["Not a Name!"]] if item.get("type") == "string" else [[{}]]
        return [*first, [], *plain, "x", None]
    if isinstance(schema.get("additionalProperties"), dict):
        of_objects = schemas.resolve(schema["additionalProperties"])[1].get("type") != "string"
        return [{}, {"a": {}}, "x"] if of_objects else MAPS
    return [{}, "x", None, {"unknownField": 1}]


def put(manifest, path, value):
    """A copy of `manifest` with `value` at `path`; NOWHERE takes away. None if there is no such place."""
    manifest = copy.deepcopy(manifest)
    place = manifest
    for step, then in zip(path, path[1:]):
        if isinstance(place, list):
            while len(place) <= step:
                place.append({})
        elif not isinstance(place, dict):
            return None
        elif step not in place or place[step] is None:
            place[step] = [] if isinstance(then, int) else {}
        place = place[step]
    last = path[-1]
    if isinstance(place, list):
        while len(place) <= last:
            place.append({})
    elif not isinstance(place, dict):
        return None
    if value is NOWHERE:
        if isinstance(place, dict) and last in place:
            del place[last]
            return manifest
        return None
    place[last] = value
    return manifest


def mutants(schemas, name, base, seen, seed, every):
    """Manifests with one field changed: (path, what, manifest). Fields of definitions that are in `seen` are changed
    only `every` so often."""
    dice = random.Random(f"{seed} {name}")
    for key, path, of, there in list(fields(schemas, name, base)):
        if path[:2] == ("metadata", "managedFields"):
            continue
        again = key in seen
        if again and dice.random() > every:
            continue
        seen.add(key)
        wanted = list(choices(schemas, of, there))
        dice.shuffle(wanted)
        for value in wanted[: 1 if again else 4]:
            changed = put(base, path, value)
            if changed is not None:
                yield path, value, changed
        if there is not NOWHERE:
            yield path, NOWHERE, put(base, path, NOWHERE)


def doubled(all_mutants, base, count, dice):
    """Manifests with two fields changed."""
    pairs = [(path, value) for path, value, _ in all_mutants]
    for _ in range(count if len(pairs) > 1 else 0):
        (one, first), (two, second) = dice.sample(pairs, 2)
        changed = put(base, one, first)
        changed = changed and put(changed, two, second)
        if changed is not None:
            yield one + ("and",) + two, [first, second], changed
