"""Never ends its import, whatever kind of plugin it is."""

import time

time.sleep(30)
