package main

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/chaos/sagas"
)

// A worker may be killed while it asks for a task: nobody must have it then.
func TestATaskIsNotGivenToWhoIsGone(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+t.TempDir()+"/desk.db")
	require.NoError(t, err)
	defer db.Close()
	d, err := newDesk(db, time.Minute)
	require.NoError(t, err)
	for _, task := range d.make(sagas.Job{ID: "s-1", Transfer: &sagas.Transfer{}}, false, false) {
		d.tasks <- task
	}
	d.gone("w1")
	got, err := d.next(context.Background(), "w1")
	require.NoError(t, err)
	require.Nil(t, got)
	got, err = d.next(context.Background(), "w1")
	require.NoError(t, err)
	require.Nil(t, got)
	got, err = d.next(context.Background(), "w2")
	require.NoError(t, err)
	require.Equal(t, "s-1", got.Job.ID)
}
