package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

func TestItSaysWhereEverythingIsAndEndsWithItsInput(t *testing.T) {
	in, holdOpen := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"-dir", t.TempDir(), "-origin", "http://localhost:1"}, in, out)
	}()
	line, err := bufio.NewReader(said).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var s scene
	if err := json.Unmarshal(line, &s); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Events, "https://") || !strings.HasPrefix(s.Realtime, "wss://") || s.ClientSecret == "" || len(s.Users) == 0 {
		t.Errorf("said %s, want https and wss addresses, credentials and users", line)
	}
	if pem, err := os.ReadFile(s.Certificate); err != nil || !strings.Contains(string(pem), "BEGIN CERTIFICATE") {
		t.Errorf("the certificate is %q, %v", pem, err)
	}
	if err := holdOpen.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v, want nil", err)
	}
}

func TestItRefusesToStartWithoutAFolder(t *testing.T) {
	if err := run(t.Context(), nil, strings.NewReader(""), io.Discard); err == nil {
		t.Error("got nil, want an error")
	}
}
