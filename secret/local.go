package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSize bounds one secret: what AWS Secrets Manager stores at most.
const maxSize = 64 << 10

func (r *Resolver) readEnv(ref, name string) ([]byte, error) {
	if name == "" {
		return nil, &ReferenceError{Ref: ref, Problem: "names no variable", Hint: "write env:NAME"}
	}
	text, found := r.config.LookupEnv(name)
	if !found {
		return nil, &ReferenceError{Ref: ref, Problem: "is not set in the environment", Hint: "set " + name + " or correct the name"}
	}
	return bounded(ref, []byte(text))
}

func (r *Resolver) readPath(ref, path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, &ReferenceError{Ref: ref, Problem: "is not an absolute path", Hint: "write file:/path"}
	}
	text, err := r.config.ReadFile(path)
	if err != nil {
		var cause *fs.PathError // repeats the path; its cause is enough
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, &ReferenceError{Ref: ref, Problem: "cannot be read", Hint: "create the file, and let this process read it", Err: err}
	}
	// Editors and shells end a file with a line break that is no part of the secret.
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	return bounded(ref, []byte(line))
}

// bounded refuses a secret that is empty or beyond belief.
func bounded(ref string, text []byte) ([]byte, error) {
	if len(text) == 0 {
		return nil, &ReferenceError{Ref: ref, Problem: "is empty", Hint: "store the secret there"}
	}
	if len(text) > maxSize {
		return nil, &ReferenceError{Ref: ref, Problem: fmt.Sprintf("is over %d bytes", maxSize), Hint: "store only the secret there"}
	}
	return text, nil
}

// readFile reads at most one byte more than a secret may have, so bounded can tell.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSize+2))
}
