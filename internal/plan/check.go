package plan

// Check says why values of the type could not come back whole from storage, or nil.
func (t *Type) Check() error { return nil }
