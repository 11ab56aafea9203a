"""A look at a configuration file before Snakemake reads it, which names neither the line nor what is stated twice."""

import json

import yaml

from obj2ngp.common.checks import read_text
from obj2ngp.common.files import UserError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML has it
DEEPEST = 50  # keys and lists within one another, which Snakemake's reader takes by calls within one another


def check_file(path):
    """Raise UserError, which names the line, unless the file `path` is YAML or JSON that holds keys, each stated once.

    YAML itself takes the last of those that are stated twice.
    """
    text = read_text(path)
    try:
        values = _read(text)
    except yaml.MarkedYAMLError as error:
        if _is_json(text):  # it may be indented by tabs
            return
        raise UserError(f"{path}: line {error.problem_mark.line + 1}: not usable YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0].partition(";")[0]  # Python adds how to change its own limit
        raise UserError(f"{path}: not usable YAML: {reason}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no keys; where all have their defaults, {{}} says so")


def _read(text):
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        _refuse_twins(node, set(), set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_twins(node, above, seen):
    """Raise MarkedYAMLError where a mapping in `node` states a key twice, or something holds itself or too much.

    above, seen  the nodes that hold this one, and those that are known to be good
    """
    if node in above:
        raise yaml.MarkedYAMLError(problem="it holds itself", problem_mark=node.start_mark)
    if len(above) > DEEPEST:
        raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=node.start_mark)
    if isinstance(node, yaml.ScalarNode) or node is None or node in seen:
        return
    keys = set()
    for item in node.value:
        key, value = item if isinstance(node, yaml.MappingNode) else (None, item)
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in keys:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is stated twice", problem_mark=key.start_mark)
            keys.add((key.tag, key.value))
        _refuse_twins(value, {*above, node}, seen)
    seen.add(node)


def _is_json(text):
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
