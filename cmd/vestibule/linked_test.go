package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What looks methods up by names that are only known at run time has the linker keep every exported method of every library: with
// text/template linked in, the program is half as big again, on disk and in memory. Pages and messages do without it.
func TestTheLinkerLeavesOutWhatIsNotCalled(t *testing.T) {
	t.Parallel()
	path := binary(t)
	symbols, err := exec.Command("go", "tool", "nm", path).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	if !strings.Contains(string(symbols), " main.main\n") {
		t.Fatal("the program has no symbols to look at")
	}
	if strings.Contains(string(symbols), " text/template.(*state).evalField\n") {
		t.Error("text/template is linked in: find who calls it with go build -ldflags=-dumpdep")
	}
}
