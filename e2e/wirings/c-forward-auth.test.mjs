// (c) nginx asks Vestibule about every request.

import { everyWay, SHORT_LIFE } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

everyWay(suite("nginx auth_request", { accessLife: `${SHORT_LIFE}s` }), "wiring-c", { told: true });
