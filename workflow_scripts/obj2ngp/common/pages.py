"""What the pages hold that others wrote. Standard library only, Python 3.7."""

import json
import re

# Ends a script element, ended lines in scripts before 2019, and has no encoding.
_NOT_AS_IT_IS = re.compile("[<\u2028\u2029\ud800-\udfff]")


def embedded(value):
    """JSON that may stand in a script element of a page in UTF-8. Raises ValueError where a number is not finite."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_AS_IT_IS.sub(lambda found: "\\u{:04x}".format(ord(found.group())), text)
