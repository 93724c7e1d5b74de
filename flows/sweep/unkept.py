"""What is handed to Ray Tune, but never kept by it."""


class Unkept:
    """Tune pickles what it is given, to restore it some day: queues, callbacks and all that they refer to.

    A sweep is restored from its trials' folders instead, so nothing is worth keeping.
    """

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()
