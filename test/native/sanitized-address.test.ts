import { all, testSanitized } from "./sanitized";

testSanitized("address,undefined", all);
