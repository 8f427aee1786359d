// Command petshop tells the story of a pet shop whose every trade is a saga over HTTP services: some
// succeed, some are refused, and some fail in the middle and are undone. Nothing is ever lost.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := tellStory(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "petshop:", err)
		os.Exit(1)
	}
}
