// Package static owns the files that browsers load beside the pages: style sheets, the mark, the demo's scripts, and client.js, the
// browser helper, which is an npm package too (package.json, client.d.ts).
//
// They are compiled in, named by a hash of their content and cached for a year; what depends on the brand's accent
// colour (brand.css, mark.svg) is made once at start. It refuses everything that it does not list by name: requests
// are looked up in a map, so there is no directory and no path to climb.
//
//	New → embedded files + brand.css + mark.svg → hash, gzip, map → Path (for pages), ServeHTTP (for browsers)
//
// Read this file first, then handler.go; contrast.go holds the arithmetic behind the accent's variants.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed *.css *.js *.svg
var embedded embed.FS

// ErrPrefix says that a prefix is not an absolute path that ends with a slash.
var ErrPrefix = errors.New("prefix must start and end with a slash")

// Config says where the assets live and what they wear.
type Config struct {
	// Prefix is the URL path in front of every asset, the base path included: "/static/" where empty. It starts and
	// ends with a slash.
	Prefix string
	// Accent is the brand's colour, "#rgb" or "#rrggbb"; DefaultAccent where empty.
	Accent string
}

// Assets is the set of files, ready to be served. It never changes after New and is safe for concurrent use.
type Assets struct {
	prefix string
	paths  map[string]string  // plain name → hashed URL path
	served map[string]variant // plain or hashed name → what is sent; look up with find
}

// variant is one name of an asset: the hashed one never changes, the plain one is asked for anew each time.
type variant struct {
	*asset
	immutable bool
}

// hashSize is how many bytes of a file's SHA-256 its hashed name shows, in hexadecimal.
const hashSize = 8

// asset is one file, hashed and compressed.
type asset struct {
	contentType string
	hash        string // of hashSize bytes, in hexadecimal
	body        representation
	gzip        representation // no bytes where compression does not pay
}

// representation is one encoding of an asset. Each has a strong validator of its own (RFC 9110 section 8.8.3.3).
type representation struct {
	bytes []byte
	etag  string
}

// New reads the embedded files and makes those that the accent decides. It fails with ErrPrefix or ErrColour where
// the configuration is wrong.
func New(c Config) (*Assets, error) {
	prefix := c.Prefix
	if prefix == "" {
		prefix = "/static/"
	}
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") || strings.HasPrefix(prefix, "//") {
		return nil, fmt.Errorf("static assets at %q: %w", prefix, ErrPrefix)
	}
	accent, err := parseAccent(c.Accent)
	if err != nil {
		return nil, fmt.Errorf("accent colour: %w", err)
	}
	fixed, err := fixedFiles()
	if err != nil {
		return nil, err
	}
	a := &Assets{prefix: prefix, paths: map[string]string{}, served: map[string]variant{}}
	for name, file := range fixed {
		a.add(name, file)
	}
	coloured, err := colouredFiles(accent)
	if err != nil {
		return nil, err
	}
	for name, content := range coloured {
		file, err := newAsset(name, content)
		if err != nil {
			return nil, err
		}
		a.add(name, file)
	}
	return a, nil
}

// Path gives the URL path of an asset: "/static/app.3f9a0c….css" for "app.css". It panics for a name that is not an
// asset; pages ask for theirs when they are constructed, so a wrong name cannot get past the start.
func (a *Assets) Path(name string) string {
	hashed, ok := a.paths[name]
	if !ok {
		panic("static: no asset is called " + name)
	}
	return hashed
}

// markFile is embedded as a drawing without its colour.
const markFile = "mark.svg"

// fixedFiles are the assets that are the same whatever the configuration. Compressing them is most of what New costs, so it is done once.
var fixedFiles = sync.OnceValues(func() (map[string]*asset, error) {
	entries, err := fs.ReadDir(embedded, ".")
	if err != nil {
		return nil, fmt.Errorf("list embedded assets: %w", err)
	}
	files := map[string]*asset{}
	for _, entry := range entries {
		name := entry.Name()
		if name == markFile {
			continue
		}
		content, err := embedded.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read embedded asset: %w", err)
		}
		if files[name], err = newAsset(name, content); err != nil {
			return nil, err
		}
	}
	return files, nil
})

// colouredFiles are made from the accent colour.
func colouredFiles(accent rgb) (map[string][]byte, error) {
	drawing, err := embedded.ReadFile(markFile)
	if err != nil {
		return nil, fmt.Errorf("read embedded asset: %w", err)
	}
	return map[string][]byte{"brand.css": brandSheet(accent), markFile: mark(drawing, accent)}, nil
}

// newAsset hashes and compresses one file.
func newAsset(name string, content []byte) (*asset, error) {
	kind, err := contentType(name)
	if err != nil {
		return nil, fmt.Errorf("static asset %s: %w", name, err)
	}
	packed, err := compress(content)
	if err != nil {
		return nil, fmt.Errorf("static asset %s: %w", name, err)
	}
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:hashSize])
	return &asset{
		contentType: kind,
		hash:        hash,
		body:        representation{bytes: content, etag: `"` + hash + `"`},
		gzip:        representation{bytes: packed, etag: `"` + hash + `-gz"`},
	}, nil
}

// add lists a file under both its names.
func (a *Assets) add(name string, file *asset) {
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + file.hash + ext
	a.paths[name] = a.prefix + hashed
	a.served[name] = variant{asset: file}
	a.served[hashed] = variant{asset: file, immutable: true}
}

// contentType knows the few kinds of file that live here. The system's table is not asked: it differs between hosts,
// and with nosniff a wrong type means a page without its style.
func contentType(name string) (string, error) {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".js":
		return "text/javascript; charset=utf-8", nil
	case ".svg":
		return "image/svg+xml", nil
	}
	return "", errors.New("no content type is known for its extension")
}

// compress gives the gzip form, or nothing where it would save less than a tenth.
func compress(content []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if packed.Len() > len(content)*9/10 {
		return nil, nil
	}
	return packed.Bytes(), nil
}
