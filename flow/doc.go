// Package flow composes steps into sagas and runs them.
package flow
