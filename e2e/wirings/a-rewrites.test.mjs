// (a) Next.js in front: rewrites() hands Vestibule's paths on.

import { everyWay } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

everyWay(suite("rewrites"), "wiring-a", { pages: true });
