// Package errcodectest tells in a test what would not travel well in
// production: [Missing] lists the errors of your packages that are not
// registered, [Travels] shows that one error arrives as itself.
package errcodectest
