import { testSanitized, threaded } from "./sanitized";

testSanitized("thread", threaded);
