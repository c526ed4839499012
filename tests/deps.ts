// What the tests take from JSR. Loading this module tells whether JSR can be
// reached; where it cannot, tests/offline/ stands in.
import "@std/assert";
import "@std/async";
