// Loaded before each example of the documentation. An example may leave the
// shared reactor waiting, as a program does; looking for leaks is for the tests.
Deno.test.sanitizer({ ops: false, resources: false });
