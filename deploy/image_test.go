package deploy_test

import (
	"debug/elf"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// No image is built here, for want of an engine; but its program is: with the Dockerfile's own command, from nothing but what .dockerignore
// lets through, and it is run as the image would run it.
func TestTheImagesProgramNeedsNothingAroundIt(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for _, name := range allowed(t) {
		lay(t, source, name)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "vestibule")
	command := regexp.MustCompile(`(?m)^    (go build .*)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if command == nil {
		t.Fatal("the Dockerfile does not build anything")
	}
	build := exec.Command("sh", "-euc", strings.Replace(command[1], "/out/vestibule", program, 1))
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-mod=readonly", "REVISION=0123456789abcdef")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, _ := file.ImportedLibraries(); len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("the program wants %v and an interpreter", libraries)
	}
	if out, status := alone(t, root, "version"); status != 0 || !strings.Contains(out, " 0123456789ab ") {
		t.Errorf("version: got %q, %d; want the revision that it was built from", out, status)
	}
	var answers atomic.Int32
	answers.Store(http.StatusOK)
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answers.Load())) }))
	defer health.Close()
	if out, status := alone(t, root, "healthcheck", "--url="+health.URL+"/healthz"); status != 0 {
		t.Errorf("health check of what lives: got %d: %s", status, out)
	}
	answers.Store(http.StatusServiceUnavailable)
	if _, status := alone(t, root, "healthcheck", "--url="+health.URL+"/healthz"); status != 1 {
		t.Errorf("health check of what does not: got %d, want 1", status)
	}
	if out, status := alone(t, root, "serve"); status != 1 || !strings.Contains(out, "public_url") {
		t.Errorf("serve without a configuration: got %d, %s; want it to say what is missing", status, out)
	}
}

// alone runs the program with an empty environment, and where this process may do that, as the image's user and with nothing but
// itself in its file system.
func alone(t *testing.T, root string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(root, "vestibule"), args...)
	cmd.Env, cmd.Dir = []string{}, root
	if os.Geteuid() == 0 {
		cmd.Path, cmd.Dir = "/vestibule", "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// lay copies a file or folder of the repository as Docker would send it: without tests.
func lay(t *testing.T, to, name string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", name), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := filepath.Join(to, strings.TrimPrefix(path, "../"))
		switch {
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(place, 0o755)
		case strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(place, content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
