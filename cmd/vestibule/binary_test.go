package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaryDir is where the program is built for the tests that run it in processes of its own.
var binaryDir string

func TestMain(m *testing.M) { os.Exit(withBinaryDir(m)) }

func withBinaryDir(m *testing.M) int {
	var err error
	if binaryDir, err = os.MkdirTemp("", "vestibule-binary"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(binaryDir) }()
	return m.Run()
}

// binary is the path of the built program, as people run it: without the race detector, which takes ten times the processor and so
// makes a dozen replicas on a small machine a test of the machine. What races is found by the tests that call run within this process.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaryDir, "vestibule")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})
