"""Errors and warnings about a model, said once and in words that name the file and the reason."""


class SceneError(Exception):
    """The model or the settings cannot be rendered as asked; the message is for the user."""


class Problems:
    """Decides, as the settings say, whether a problem stops the render or is a warning kept for the record.

    ``policy`` is any object with one attribute per kind of problem, each "error" or "warn".
    """

    def __init__(self, policy):
        self._policy = policy
        self.warnings = []

    def warn(self, message):
        """Keep ``message`` for the record and print it."""
        self.warnings.append(message)
        print("warning: " + message, flush=True)

    def report(self, kind, message):
        """Raise SceneError, or warn, as the setting named ``kind`` says."""
        if getattr(self._policy, kind) == "error":
            raise SceneError("{} (set render.{}: warn to go on)".format(message, kind))
        self.warn(message)
