package eventsdev

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

func (s *Server) showStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Stats())
}

// dropOnRequest takes {"code":1001}, or nothing for a cut without a close frame, and answers {"dropped":2}.
func (s *Server) dropOnRequest(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Code int `json:"code"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10))
	d.DisallowUnknownFields()
	err := d.Decode(&asked)
	if err != nil && !errors.Is(err, io.EOF) || asked.Code != 0 && !maySend(asked.Code) {
		writeJSON(w, http.StatusBadRequest, struct {
			Error string `json:"error"`
		}{`want {"code":N} with a close code that may be sent, or no body`})
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Dropped int `json:"dropped"`
	}{s.DropAll(asked.Code)})
}
