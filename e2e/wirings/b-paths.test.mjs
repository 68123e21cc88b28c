// (b) nginx in front of both, parted by path.

import { everyWay } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

everyWay(suite("nginx by path"), "wiring-b");
