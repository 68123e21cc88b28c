package main

import (
	"bytes"
	"os"
	"testing"
)

func TestALineIsCutToTheTerminal(t *testing.T) {
	for columns, want := range map[int]string{0: "  7s  asking", 1: "", 5: "  7s", 12: "  7s  askin", 13: "  7s  asking", 200: "  7s  asking"} {
		if got := fitting("  7s  asking", columns); got != want {
			t.Errorf("%d columns: got %q, want %q", columns, got, want)
		}
	}
}

func TestWhatIsNoTerminalIsNotTakenForOne(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) || widthOf(null) != 0 || isTerminal(&bytes.Buffer{}) || widthOf(&bytes.Buffer{}) != 0 {
		t.Error("nobody reads what goes to the null device, or into a buffer")
	}
}
