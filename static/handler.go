package static

import (
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// ServeHTTP answers GET and HEAD for the assets below the prefix. Hashed names may be kept for a year, plain ones and those
// with the hash of another build are asked for anew with their ETag; any other name is 404, any other method 405. The
// request's path arrives whole: mount it without stripping the prefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	name, below := strings.CutPrefix(r.URL.Path, a.prefix)
	file, known := a.find(name)
	if !below || !known {
		refuse(w, http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", file.cacheControl())
	file.send(w, r)
}

// Has says whether a request's path names an asset.
func (a *Assets) Has(path string) bool {
	name, below := strings.CutPrefix(path, a.prefix)
	_, known := a.find(name)
	return below && known
}

// find looks a name up. While replicas of two builds serve, a page of one asks the other for its files: a name of ours with a
// hash that is not ours is the file as we have it, not to be kept.
func (a *Assets) find(name string) (variant, bool) {
	if file, known := a.served[name]; known {
		return file, true
	}
	ext := path.Ext(name)
	rest := strings.TrimSuffix(name, ext)
	dot := path.Ext(rest)
	if sum, err := hex.DecodeString(strings.TrimPrefix(dot, ".")); err != nil || len(sum) != hashSize {
		return variant{}, false
	}
	plain := strings.TrimSuffix(rest, dot) + ext
	if _, ours := a.paths[plain]; !ours {
		return variant{}, false
	}
	return a.served[plain], true
}

// refuse answers without a body worth keeping.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// A failed write means that the browser has gone: there is nobody left to tell.
	_, _ = w.Write([]byte(http.StatusText(status) + "\n"))
}

func (v variant) cacheControl() string {
	if v.immutable {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// send picks the representation and writes it, or 304 where the browser holds it already.
func (f *asset) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	chosen := f.body
	if f.gzip.bytes != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			chosen = f.gzip
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", chosen.etag)
	if matches(r.Header.Values("If-None-Match"), chosen.etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(chosen.bytes)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	// As in refuse: the only reader of this error has hung up.
	_, _ = w.Write(chosen.bytes)
}

// matches is If-None-Match with its weak comparison (RFC 9110 section 13.1.2). Our tags hold no comma, so the list may be cut
// at every one.
func matches(headers []string, etag string) bool {
	for _, header := range headers {
		for candidate := range strings.SplitSeq(header, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag || candidate == "*" {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3): gzip by name decides, else the star; a weight of zero refuses.
func acceptsGzip(headers []string) bool {
	star := false
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			coding, params, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return weight(params) > 0
			case "*":
				star = weight(params) > 0
			}
		}
	}
	return star
}

// weight is the q of one item: 1 where none is given, 0 where it cannot be read.
func weight(params string) float64 {
	name, value, found := strings.Cut(params, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return q
}
