"""In place of Python's secrets: whoever verifies makes none, so that no result can depend on chance."""


def token_bytes(_size=None):
    raise NotImplementedError("the page makes no secrets")
