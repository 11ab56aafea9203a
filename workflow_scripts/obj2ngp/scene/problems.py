"""Problems of a model: each stops the render or becomes a warning, as the settings say."""

from obj2ngp.common.files import UserError

LONGEST = 2000  # characters of a message: a model may name very many things, and each at any length


class Problems:
    """Keeps the warnings of one render. ``policy`` has an attribute "error" or "warn" for each kind of problem."""

    def __init__(self, policy):
        self._policy = policy
        self.warnings = []

    def warn(self, message):
        """Keep ``message`` for the record and print it."""
        message = _short(message)
        self.warnings.append(message)
        print("warning: " + message, flush=True)

    def report(self, kind, message):
        """Raise UserError, or warn, as the setting named ``kind`` says."""
        if getattr(self._policy, kind) == "error":
            raise UserError(f"{_short(message)} (set render.{kind}: warn to go on)")
        self.warn(message)


def _short(message):
    return message if len(message) <= LONGEST else message[: LONGEST - 4] + " ..."
