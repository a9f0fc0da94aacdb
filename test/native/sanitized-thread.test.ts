import { testSanitized } from "./sanitized";

testSanitized("thread");
