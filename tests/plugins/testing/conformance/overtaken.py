"""A fault that executors and workers share: of three steps in flight the second resolves after the third."""

import threading
from concurrent.futures import Future


class Overtaken:
    """Stands before the class whose `submit` it delays."""

    number = 0

    def submit(self, plan):
        self.number += 1
        told, is_held = Future(), self.number % 3 == 2

        def pass_on(done):
            if is_held:
                threading.Timer(0.05, told.set_result, [done.result()]).start()
            else:
                told.set_result(done.result())

        super().submit(plan).add_done_callback(pass_on)
        return told
