variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "tags" {
  description = "Tags for everything that is made here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "joinery.sh/")])
    error_message = "tags must not begin with joinery.sh/: admission believes those, so they are set here and nowhere else."
  }
}
