import { testSanitized } from "./sanitized";

testSanitized("address,undefined");
