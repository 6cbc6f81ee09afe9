"""The program `embedkit`, which is also `python -m embedkit`."""

import _signal as signal  # type: ignore[import-not-found]  # what `signal` has before it imports enum
import gc


def main() -> None:
    """Run the program; Ctrl-C ends it without a message until a command begins (`cli/command.py`)."""
    gc.set_threshold(10_000)  # objects; a start makes many that stay, and looks for garbage 14 times less
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from embedkit.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
