"""Objects that Ray Tune gets but must not save."""


class NotPickled:
    """A base of schedulers, queues and callbacks that pickles as nothing.

    Tune pickles all of them, with everything that they refer to, to restore a run later. A sweep is restored from its
    trials' folders instead, and what these objects refer to cannot be pickled.
    """

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()
