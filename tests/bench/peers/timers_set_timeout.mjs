/** Timers of the platform's, for Deno and for Node. */

import { measureTimers } from "./timing.mjs";

await measureTimers((ms, f) => setTimeout(f, ms), clearTimeout);
