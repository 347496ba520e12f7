"""Shapes of a task's values: each reads a value strictly, and says in JSON Schema what it accepts.

Reading doesn't end at the first problem: all of them are collected, each with its path.
"""

import json

#: A field without this default must be given.
REQUIRED = object()


def load_json(text, what):
    """The value of a JSON text in which no key is there twice; raises ValueError with a sentence."""

    def pairs(found):
        keys = [key for key, _ in found]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError("%s has the key %s twice in one object" % (what, ", ".join(map(repr, twice))))
        return dict(found)

    def constant(name):
        raise ValueError("%s has %s, which isn't a number of JSON" % (what, name))

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise ValueError("%s is nested too deep" % what) from None
    except json.JSONDecodeError as error:
        raise ValueError("%s isn't valid JSON: %s" % (what, error)) from None


class Problems(list):
    """What is wrong, as sentences that begin with the path."""

    def add(self, path, sentence):
        """Adds one; an empty path is the task itself."""
        self.append("%s %s" % (path or "the task", sentence))


def shown(value):
    """A value as an error shows it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


class Shape:
    """One kind of value."""

    def accepts(self):
        """What is accepted, as it follows "must be"."""
        raise NotImplementedError

    def fits(self, value):
        """Whether a value is of this kind at all: what chooses among several shapes."""
        raise NotImplementedError

    def read(self, value, path, problems):
        """The value with its defaults; what is wrong goes to ``problems``."""
        if not self.fits(value):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
        return value

    def schema(self):
        """The same in JSON Schema."""
        raise NotImplementedError


class Text(Shape):
    """A text, any that isn't empty."""

    def accepts(self):
        return "a text"

    def fits(self, value):
        return isinstance(value, str) and value != ""

    def schema(self):
        return {"type": "string", "minLength": 1}


class Choice(Shape):
    """One of a few texts."""

    def __init__(self, *choices):
        self.choices = choices

    def accepts(self):
        return " or ".join(filter(None, [", ".join(map(shown, self.choices[:-1])), shown(self.choices[-1])]))

    def fits(self, value):
        return isinstance(value, str) and value in self.choices

    def schema(self):
        return {"enum": list(self.choices)}


class Flag(Shape):
    """True or false."""

    def accepts(self):
        return "true or false"

    def fits(self, value):
        return isinstance(value, bool)

    def schema(self):
        return {"type": "boolean"}


class Nothing(Shape):
    """null."""

    def accepts(self):
        return "null"

    def fits(self, value):
        return value is None

    def schema(self):
        return {"type": "null"}


class Number(Shape):
    """A number within bounds."""

    integer = False

    def __init__(self, low=None, high=None, above=None, below=None):
        self.low, self.high, self.above, self.below = low, high, above, below

    def accepts(self):
        bounds = [
            "%s %s" % (word, bound)
            for word, bound in (
                ("at least", self.low),
                ("above", self.above),
                ("at most", self.high),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " ".join(["a whole number" if self.integer else "a number", " and ".join(bounds)]).strip()

    def fits(self, value):
        if isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float)):
            return False
        return not (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def schema(self):
        found = {"type": "integer" if self.integer else "number"}
        bounds = {
            "minimum": self.low,
            "maximum": self.high,
            "exclusiveMinimum": self.above,
            "exclusiveMaximum": self.below,
        }
        found.update({key: bound for key, bound in bounds.items() if bound is not None})
        return found


class Whole(Number):
    """A whole number within bounds."""

    integer = True


class ListOf(Shape):
    """A list of one kind of value."""

    def __init__(self, item, least=0, most=None):
        self.item, self.least, self.most = item, least, most

    def accepts(self):
        size = "" if not self.least else "at least %d of " % self.least
        if self.most is not None:
            size = "%d of " % self.least if self.most == self.least else "%d to %d of " % (self.least, self.most)
        return "a list of %s(each %s)" % (size, self.item.accepts())

    def fits(self, value):
        return isinstance(value, list)

    def read(self, value, path, problems):
        if not isinstance(value, list) or len(value) < self.least or (self.most is not None and len(value) > self.most):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
            return value
        return [self.item.read(each, "%s[%d]" % (path, at), problems) for at, each in enumerate(value)]

    def schema(self):
        found = {"type": "array", "items": self.item.schema()}
        if self.least:
            found["minItems"] = self.least
        if self.most is not None:
            found["maxItems"] = self.most
        return found


class MapOf(Shape):
    """An object with any keys and one kind of value."""

    def __init__(self, item, what):
        self.item, self.what = item, what

    def accepts(self):
        return "an object from %s to %s" % (self.what, self.item.accepts())

    def fits(self, value):
        return isinstance(value, dict)

    def read(self, value, path, problems):
        if not isinstance(value, dict):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
            return value
        return {key: self.item.read(each, _below(path, key), problems) for key, each in value.items()}

    def schema(self):
        return {"type": "object", "additionalProperties": self.item.schema()}


class Either(Shape):
    """A value of the first shape that it fits."""

    def __init__(self, *shapes):
        self.shapes = shapes

    def accepts(self):
        return ", or ".join(shape.accepts() for shape in self.shapes)

    def fits(self, value):
        return any(shape.fits(value) for shape in self.shapes)

    def read(self, value, path, problems):
        for shape in self.shapes:
            if shape.fits(value):
                return shape.read(value, path, problems)
        problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
        return value

    def schema(self):
        return {"anyOf": [shape.schema() for shape in self.shapes]}


class Field:
    """One key of an object: its shape, its default, and what it means."""

    def __init__(self, name, shape, default=REQUIRED, about=""):
        self.name, self.shape, self.default, self.about = name, shape, default, about

    def schema(self):
        """The key in JSON Schema."""
        found = dict(self.shape.schema())
        if self.about:
            found["description"] = self.about
        if self.default is not REQUIRED and self.default is not None:
            found["default"] = self.default
        return found


class Record(Shape):
    """An object with known keys."""

    def __init__(self, *fields, about=""):
        self.fields = {field.name: field for field in fields}
        self.about = about

    def accepts(self):
        return "an object with the keys %s" % ", ".join(self.fields)

    def fits(self, value):
        return isinstance(value, dict)

    def read(self, value, path, problems):
        if not isinstance(value, dict):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
            return value
        for key in value:
            if key not in self.fields:
                problems.add(_below(path, key), "isn't a key here; there are %s" % ", ".join(self.fields))
        found = {}
        for name, field in self.fields.items():
            if name in value:
                found[name] = field.shape.read(value[name], _below(path, name), problems)
            elif field.default is REQUIRED:
                problems.add(_below(path, name), "is missing: it must be %s" % field.shape.accepts())
            else:
                # A new value each time, filled with the defaults that are below it.
                default = json.loads(json.dumps(field.default))
                found[name] = default if default is None else field.shape.read(default, _below(path, name), problems)
        return found

    def schema(self):
        found = {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: field.schema() for name, field in self.fields.items()},
        }
        required = [name for name, field in self.fields.items() if field.default is REQUIRED]
        if required:
            found["required"] = required
        if self.about:
            found["description"] = self.about
        return found


class Tagged(Shape):
    """An object whose other keys depend on one of them."""

    def __init__(self, tag, records, missing=None):
        # `missing` names the record that is read when the tag isn't there; otherwise it must be.
        self.tag, self.records, self.missing = tag, records, missing

    def accepts(self):
        return "an object with the key %s (%s)" % (self.tag, ", ".join(key for key in self.records if key is not None))

    def fits(self, value):
        return isinstance(value, dict)

    def read(self, value, path, problems):
        if not isinstance(value, dict):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
            return value
        names = [key for key in self.records if key is not None]
        tag = value.get(self.tag, self.missing)
        if tag is None and None not in self.records:
            problems.add(_below(path, self.tag), "is missing: it must be %s" % Choice(*names).accepts())
            return value
        if tag is not None and not Choice(*names).fits(tag):
            problems.add(_below(path, self.tag), "must be %s, not %s" % (Choice(*names).accepts(), shown(tag)))
            return value
        rest = {key: each for key, each in value.items() if key != self.tag}
        found = self.records[tag].read(rest, path, problems)
        return found if tag is None else dict({self.tag: tag}, **found)

    def schema(self):
        found = []
        for key, record in self.records.items():
            part = record.schema()
            if key is not None:
                part["properties"] = dict({self.tag: {"const": key}}, **part["properties"])
                if key != self.missing:
                    part["required"] = [self.tag] + part.get("required", [])
            found.append(part)
        return {"oneOf": found}


def _below(path, key):
    plain = key.replace("_", "").replace("-", "").isalnum()
    step = key if plain else "[%s]" % json.dumps(key, ensure_ascii=False)
    return step if not path else (path + "." + step if plain else path + step)
