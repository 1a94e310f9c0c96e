"""What is declared about access, compiled: who may do what, and the objects that say so."""
